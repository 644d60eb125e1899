"""The native kernel has tests of its own, collected where its present version is installed.

`tests/system/test_native.py` builds and tests it.
"""

from keystore.bench.kernels import has_native

collect_ignore = [] if has_native() else ["test_slot_reader.py", "test_threads.py"]
