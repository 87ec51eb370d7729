"""Faults against real processes."""
