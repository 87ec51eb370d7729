"""An `ExamResult` becomes DICOM objects."""
