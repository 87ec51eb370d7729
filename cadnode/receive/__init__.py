"""DICOM listener, spool of received instances, and when a study is complete."""
