"""Pixels: decoding, geometry and the one preprocessing chain."""
