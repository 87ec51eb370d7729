"""How images come in: the DICOM listener, the spool, studies fetched from their source."""
