"""Processes around a node: the node's server, its client, the supervisor of a machine, the router."""
