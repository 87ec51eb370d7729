"""`Exam` → `ExamResult`. Pure: no network, no database, no settings, no clock."""

from cadnode.read.exam import read_exam
from cadnode.read.readers import Choices, Readers

__all__ = ["Choices", "Readers", "read_exam"]
