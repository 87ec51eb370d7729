"""Mammography CAD SR (PS3.3 A.35.5): the report that breast workstations read, TID 4000 ff."""

from cadnode.report.cad_sr.tid4000_document import cad_sr

__all__ = ["cad_sr"]
