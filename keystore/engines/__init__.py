"""Engines of others whose data lie in page stores."""
