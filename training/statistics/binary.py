"""Shares at a threshold and their intervals, as the node has them (`cadnode.statistics.binary`)."""

from cadnode.statistics.binary import Bools, Measure, Share, at_threshold, wilson

__all__ = ["Bools", "Measure", "Share", "at_threshold", "wilson"]
