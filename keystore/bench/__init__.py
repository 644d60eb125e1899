"""Measures what sealing costs, beside the same work without it, in the same process and at the same time."""
