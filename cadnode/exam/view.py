"""Side, view and view modifiers of a mammogram, each from the best source its header has."""

from collections.abc import Iterator

from pydicom import Dataset

from cadnode.domain import Laterality, SkipReason, ViewModifier, ViewPosition
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import code_values, items, number, text, texts
from cadnode.exam.cbis_ddsm import parse_name
from cadnode.exam.labels import parse_label

# DICOM PS3.16 CID 4014: SNOMED CT and the older SNOMED RT form of each view.
_VIEW_CODES = {
    code: view
    for view, codes in {
        ViewPosition.CC: ("399162004", "R-10242"),
        ViewPosition.MLO: ("399368009", "R-10226"),
        ViewPosition.ML: ("399260004", "R-10224"),
        ViewPosition.LM: ("399352003", "R-10228"),
        ViewPosition.LMO: ("399099002", "R-10230"),
        ViewPosition.FB: ("399196006", "R-10244"),
        ViewPosition.SIO: ("399188001", "R-102D0"),
        ViewPosition.XCCL: ("399192008", "R-1024A"),
        ViewPosition.XCCM: ("399101009", "R-1024B"),
    }.items()
    for code in codes
}
_INFEROMEDIAL_OBLIQUE = {"441555000", "R-40AAA"}  # coded, but View Position has no term for it
# DICOM PS3.16 CID 4015, likewise.
_MODIFIER_CODES = {
    code: modifier
    for modifier, codes in {
        ViewModifier.MAGNIFICATION: ("399163009", "R-102D6"),
        ViewModifier.SPOT_COMPRESSION: ("399055006", "R-102D7"),
        ViewModifier.IMPLANT_DISPLACED: ("399209000", "R-102D5"),
        ViewModifier.CLEAVAGE: ("399161006", "R-102D2"),
        ViewModifier.AXILLARY_TAIL: ("399011000", "R-102D1", "442580003", "R-40AB2"),
        ViewModifier.ROLLED: (
            "399197002", "R-102D3", "399226006", "R-102D4",
            "415670009", "R-102C9", "414493004", "R-102CA",
        ),
        ViewModifier.TANGENTIAL: ("399110001", "R-102C2"),
        ViewModifier.NIPPLE_IN_PROFILE: ("442581004", "R-40AB3"),
        ViewModifier.INFRAMAMMARY_FOLD: ("442593008", "R-40ABE"),
    }.items()
    for code in codes
}  # fmt: skip
_ANTERIOR_COMPRESSION = {"441752004", "P2-00161"}
_SIDE_CODES = {  # left and right breast; left and right as anatomic region modifiers
    "80248007": Laterality.LEFT,
    "T-04030": Laterality.LEFT,
    "7771000": Laterality.LEFT,
    "G-A101": Laterality.LEFT,
    "73056007": Laterality.RIGHT,
    "T-04020": Laterality.RIGHT,
    "24028007": Laterality.RIGHT,
    "G-A100": Laterality.RIGHT,
}
_TEXTS = (
    "ViewPosition", "SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription",
    "PerformedProcedureStepDescription", "ImageComments", "StudyDescription",
)  # fmt: skip
# In an oblique view the long axis runs from above and outside to below and inside.
_OBLIQUE_SIDES = {
    "FR": Laterality.LEFT,
    "HL": Laterality.LEFT,
    "FL": Laterality.RIGHT,
    "HR": Laterality.RIGHT,
}
_MAGNIFIED = 1.3  # contact views are below 1.15, magnification stands at 1.5 and above


def laterality_of(header: Dataset) -> tuple[Laterality, str]:
    """The side of the breast and the attribute that says so.

    Raises
    ------
    NotProcessable
        LATERALITY_UNKNOWN when no source says so, or it says both.
    """
    for side, source in _sides(header):
        if side is not None:
            return side, source
    raise NotProcessable(SkipReason.LATERALITY_UNKNOWN)


def view_of(header: Dataset) -> tuple[ViewPosition, str]:
    """The view and the attribute that says so.

    Raises
    ------
    NotProcessable
        VIEW_UNKNOWN when no source says so; UNSUPPORTED_VIEW for the inferomedial oblique.
    """
    if _INFEROMEDIAL_OBLIQUE & set(code_values(items(header, "ViewCodeSequence"))):
        raise NotProcessable(SkipReason.UNSUPPORTED_VIEW)
    for view, source in _views(header):
        if view is not None:
            return view, source
    raise NotProcessable(SkipReason.VIEW_UNKNOWN)


def modifiers_of(header: Dataset) -> tuple[frozenset[ViewModifier], str]:
    """View modifiers from codes, view label, paddle and magnification, and where from."""
    found: dict[ViewModifier, str] = {}
    for view in items(header, "ViewCodeSequence"):
        for value in code_values(items(view, "ViewModifierCodeSequence")):
            if value in _MODIFIER_CODES:
                found[_MODIFIER_CODES[value]] = "ViewModifierCodeSequence"
    label = parse_label(text(header, "ViewPosition"))
    if label.view is not None:
        found |= dict.fromkeys(label.modifiers - found.keys(), "ViewPosition")
    paddle = text(header, "PaddleDescription")
    for word, modifier in (
        ("SPOT", ViewModifier.SPOT_COMPRESSION),
        ("MAG", ViewModifier.MAGNIFICATION),
    ):
        if word in paddle:
            found.setdefault(modifier, "PaddleDescription")
    if (number(header, "EstimatedRadiographicMagnificationFactor") or 1.0) > _MAGNIFIED:
        found.setdefault(ViewModifier.MAGNIFICATION, "EstimatedRadiographicMagnificationFactor")
    return frozenset(found), "+".join(sorted(set(found.values())))


def is_partial(header: Dataset) -> tuple[bool, str]:
    """Whether the image shows a part of the breast only (PS3.3 C.8.11.7), and the source."""
    if text(header, "PartialView") == "YES":
        return True, "PartialView"
    modifiers = {
        value
        for view in items(header, "ViewCodeSequence")
        for value in code_values(items(view, "ViewModifierCodeSequence"))
    }
    if modifiers & _ANTERIOR_COMPRESSION:
        return True, "ViewModifierCodeSequence"
    return False, ""


def _sides(header: Dataset) -> Iterator[tuple[Laterality | None, str]]:
    yield _letter(header, "ImageLaterality"), "ImageLaterality"
    for group in items(header, "SharedFunctionalGroupsSequence"):
        for anatomy in items(group, "FrameAnatomySequence"):
            yield _letter(anatomy, "FrameLaterality"), "FrameLaterality"
    yield _letter(header, "Laterality"), "Laterality"
    yield _coded_side(header), "AnatomicRegionSequence"
    yield _oblique_side(header), "PatientOrientation"
    for keyword in _TEXTS:
        yield parse_label(" ".join(texts(header, keyword))).laterality, keyword
    name = parse_name(header)
    yield name.laterality if name else None, "PatientID"


def _views(header: Dataset) -> Iterator[tuple[ViewPosition | None, str]]:
    for value in code_values(items(header, "ViewCodeSequence")):
        yield _VIEW_CODES.get(value), "ViewCodeSequence"
    yield parse_label(text(header, "ViewPosition")).view, "ViewPosition"
    orientation = text(header, "PatientOrientation")
    yield ViewPosition(orientation) if orientation in ("CC", "MLO") else None, "PatientOrientation"
    for keyword in _TEXTS:
        yield parse_label(" ".join(texts(header, keyword))).view, keyword
    name = parse_name(header)
    yield name.view if name else None, "PatientID"


def _letter(ds: Dataset, keyword: str) -> Laterality | None:
    stated = text(ds, keyword)
    return Laterality(stated[0]) if stated in ("L", "R", "LEFT", "RIGHT") else None


def _coded_side(header: Dataset) -> Laterality | None:
    regions = items(header, "AnatomicRegionSequence")
    codes = code_values(regions) + tuple(
        value
        for region in regions
        for value in code_values(items(region, "AnatomicRegionModifierSequence"))
    )
    sides = {_SIDE_CODES[value] for value in codes if value in _SIDE_CODES}
    return sides.pop() if len(sides) == 1 else None


def _oblique_side(header: Dataset) -> Laterality | None:
    sides = {
        _OBLIQUE_SIDES[direction]
        for direction in texts(header, "PatientOrientation")
        if direction in _OBLIQUE_SIDES
    }
    return sides.pop() if len(sides) == 1 else None
