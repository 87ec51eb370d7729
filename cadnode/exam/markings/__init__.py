"""Regions that people or other devices marked: in SRs, presentation states and segmentations."""
