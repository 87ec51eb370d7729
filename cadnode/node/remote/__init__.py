"""Readings on other machines: offered by the node, fetched, read and brought back by HTTP."""
