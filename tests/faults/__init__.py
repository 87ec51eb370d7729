"""Faults done to real processes: what a node must stand."""
