"""Encryption at rest for storage engines, under a key that the customer holds."""
