"""Compressed frames decoded where they can do no harm: in a process of its own, with limits."""
