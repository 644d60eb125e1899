"""Kept, restorable states of stores."""
