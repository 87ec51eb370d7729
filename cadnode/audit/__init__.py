"""The audit trail: who did what to which study, chained, and sent on as DICOM audit messages."""
