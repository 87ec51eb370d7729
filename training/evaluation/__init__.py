"""Measures of a system's performance, with intervals."""
