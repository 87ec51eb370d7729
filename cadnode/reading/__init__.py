"""`Exam` → `ExamResult`. Pure: no network, no database, no settings, no clock."""

from cadnode.reading.exam import not_read, read_exam
from cadnode.reading.readers import Choices, Readers
from cadnode.reading.reread import reread_exam

__all__ = ["Choices", "Readers", "not_read", "read_exam", "reread_exam"]
