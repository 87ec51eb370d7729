"""Detection of microcalcifications and masses: the learned filter's training, and its FROC."""
