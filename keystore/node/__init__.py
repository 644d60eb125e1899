"""A node directory and what is done to it."""
