"""Orthanc set up to send to the node and to take its results: plan, apply, check."""
