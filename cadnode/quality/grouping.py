"""By what figures are stratified: by itself, so that the command line asks without pydicom."""

from enum import StrEnum


class Grouping(StrEnum):
    """By what figures are stratified."""

    SCANNER = "scanner"
    VENDOR = "vendor"
    MONTH = "month"
