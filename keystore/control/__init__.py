"""Clusters of nodes: what is due, what is done to them, and in which order."""
