"""The model of keys: ids, versions, materials, states, transitions, ciphertexts. No cloud's word is in it.

Opens no socket and no file and reads no clock: time is an argument, in nanoseconds since 1970.
"""
