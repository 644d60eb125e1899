# Typed stubs of the client classes; written by proto/generate.py.

