"""DICOM objects go to named destinations."""
