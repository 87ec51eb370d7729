"""Where it is: centre and outline, by reference into the image library (TID 4021)."""

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from cadnode.domain import Calcification, Finding
from cadnode.report import group_parts as parts
from cadnode.report.cad_sr import concepts, items
from cadnode.report.cad_sr.library import Library
from cadnode.report.finding_groups import polyline


def of_finding(library: Library, finding: Finding) -> list[Dataset]:
    """Centre (POINT) and outline (closed POLYLINE) of a finding."""
    mammogram = parts.mammogram_of(library.edition, finding.sop_instance_uid)
    outline = polyline(finding, mammogram.rows, mammogram.columns)
    path = library.path(finding.sop_instance_uid)
    return [
        items.coordinates(items.PROPERTIES, concepts.CENTER, "POINT", [centre(outline)], path),
        items.coordinates(items.PROPERTIES, concepts.OUTLINE, "POLYLINE", outline, path),
    ]


def of_calcification(library: Library, finding: Finding, one: Calcification) -> list[Dataset]:
    """Centre of one calcification of a finding."""
    path = library.path(finding.sop_instance_uid)
    point = (one.col, one.row)
    return [items.coordinates(items.PROPERTIES, concepts.CENTER, "POINT", [point], path)]


def centre(outline: NDArray[np.float32]) -> tuple[float, float]:
    """(column, row) centre of gravity of a closed polygon of `(n, 2)` (column, row) points."""
    moments = cv2.moments(outline[:-1])
    if moments["m00"] == 0:
        column, row = outline[:-1].mean(axis=0)
        return float(column), float(row)
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
