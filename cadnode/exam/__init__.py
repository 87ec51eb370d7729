"""DICOM data sets become `Mammogram`s and `Exam`s; each image is used, or skipped with a reason."""
