"""Bytes to values and back, pure: no file, no socket, no clock, no key."""
