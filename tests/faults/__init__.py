"""Faults done to real processes: what dies, hangs, fills up or goes away, and what is left then."""
