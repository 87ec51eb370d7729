"""Mammography CAD node: mammograms in by DICOM, scores and heat maps out by DICOM."""

__version__ = "0.1.0"
