"""The page store, and files on it."""
