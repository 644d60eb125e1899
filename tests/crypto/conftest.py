"""The native kernel has tests of its own, collected where it is installed (`tests/system/test_native.py` builds it)."""

from importlib.util import find_spec

from keystore.bench.kernels import has_native

collect_ignore = [] if find_spec("cmk_keystore_native") else ["test_slot_reader.py"]
collect_ignore += [] if has_native() else ["test_threads.py"]
