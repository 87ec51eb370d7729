"""Pictures of a reading as DICOM objects: heat maps, outlines, segmentations."""
