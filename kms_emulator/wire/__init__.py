"""The wires: each cloud's requests and answers, translated to the model and back. Adapters are strangers to each other.

What they share lies directly in this package: `call`, `handlers`, `background`, `times`, `paging`, `reflection`.
"""
