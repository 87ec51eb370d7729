"""C-STORE statuses by their names (DICOM PS3.4 table B.2-1, PS3.7 9.1.1.1.9)."""

from enum import IntEnum


class Status(IntEnum):
    """Status of a C-STORE response."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000
