"""Side, view and view modifiers of a mammogram, from the sources in its header."""

import re
from collections.abc import Iterator

from pydicom import Dataset

from cadnode.domain import EvidenceLevel, Laterality, SkipReason, ViewModifier, ViewPosition
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import code_values, items, text, texts
from cadnode.exam.cbis_ddsm import parse_name
from cadnode.exam.evidence import UNCLEAR, Clue, Weighed, weigh
from cadnode.exam.labels import parse_label
from cadnode.exam.spacing import stated_magnifications

CLOSE_UP = frozenset({ViewModifier.MAGNIFICATION, ViewModifier.SPOT_COMPRESSION})

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
# Texts of the series, and texts of study and procedure, which state nothing about one image.
_SERIES_TEXTS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
_STUDY_TEXTS = (
    "StudyDescription", "PerformedProcedureStepDescription", "RequestedProcedureDescription",
)  # fmt: skip
# In an oblique view the long axis runs from above and outside to below and inside.
_OBLIQUE_SIDES = {
    "FR": Laterality.LEFT,
    "HL": Laterality.LEFT,
    "FL": Laterality.RIGHT,
    "HR": Laterality.RIGHT,
}
_CAUDAL_VIEWS = (
    "CC",
    "FB",
    "XCCL",
    "XCCM",
)  # from above or below: nothing in them points to the feet
_MAGNIFIED = 1.3  # contact views are below 1.15, magnification stands at 1.5 and above


def laterality_of(header: Dataset) -> Weighed:
    """The side of the breast, "L" or "R", and everything that speaks about it."""
    return weigh("laterality", _sides(header))


def view_of(header: Dataset) -> Weighed:
    """The view, a `ViewPosition`, and everything that speaks about it."""
    return weigh("view", _views(header))


def refuse_unsupported(header: Dataset) -> None:
    """Raise UNSUPPORTED_VIEW for the inferomedial oblique, for which there is no View Position."""
    if _INFEROMEDIAL_OBLIQUE & set(code_values(items(header, "ViewCodeSequence"))):
        raise NotProcessable(SkipReason.UNSUPPORTED_VIEW)


def modifiers_of(header: Dataset) -> tuple[frozenset[ViewModifier], str]:
    """View modifiers from codes, labels, paddle and magnification, and where from.

    A text of the series may only take an image out: it adds magnification and spot compression.
    """
    found: dict[ViewModifier, str] = {}
    for view in items(header, "ViewCodeSequence"):
        for value in code_values(items(view, "ViewModifierCodeSequence")):
            if value in _MODIFIER_CODES:
                found[_MODIFIER_CODES[value]] = "ViewModifierCodeSequence"
    label = parse_label(text(header, "ViewPosition"))
    found |= dict.fromkeys(label.modifiers - found.keys(), "ViewPosition")
    paddle = set(re.split(r"[^A-Z]+", text(header, "PaddleDescription")))
    for names, modifier in (
        ({"SPOT"}, ViewModifier.SPOT_COMPRESSION),
        ({"MAG", "MAGNIFICATION"}, ViewModifier.MAGNIFICATION),
    ):
        if names & paddle:
            found.setdefault(modifier, "PaddleDescription")
    for keyword, words in series_texts(header):
        for modifier in parse_label(words).modifiers & CLOSE_UP:
            found.setdefault(modifier, keyword)
    for factor, keyword in stated_magnifications(header):
        if factor > _MAGNIFIED:
            found.setdefault(ViewModifier.MAGNIFICATION, keyword)
    return frozenset(found), "+".join(sorted(set(found.values())))


def series_texts(header: Dataset) -> Iterator[tuple[str, str]]:
    """Keyword and upper-case words of each text of the series that is its own.

    A text that repeats the study's or the procedure's states no more than those.
    """
    others = {" ".join(texts(header, keyword)) for keyword in _STUDY_TEXTS}
    for keyword in _SERIES_TEXTS:
        words = " ".join(texts(header, keyword))
        if words and words not in others:
            yield keyword, words


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


def _sides(header: Dataset) -> Iterator[Clue]:
    image, label, series = EvidenceLevel.IMAGE, EvidenceLevel.LABEL, EvidenceLevel.SERIES
    if stated := _letter(header, "ImageLaterality"):
        yield Clue("ImageLaterality", image, stated)
    for anatomy in _frame_anatomies(header):
        if stated := _letter(anatomy, "FrameLaterality"):
            yield Clue("FrameLaterality", image, stated)
    for keyword in ("AnatomicRegionSequence", "PrimaryAnatomicStructureSequence"):
        for side in sorted(_coded_sides(header, keyword)):
            yield Clue(keyword, image, side)
    if labelled := parse_label(text(header, "ViewPosition")).laterality:
        yield Clue("ViewPosition", label, labelled)
    for side in sorted(_oblique_sides(header)):
        yield Clue("PatientOrientation", label, side)
    if name := parse_name(header):
        yield Clue("PatientID", label, name.laterality)
    if (stated := _letter(header, "Laterality")) != UNCLEAR and stated:
        yield Clue("Laterality", series, stated)
    for keyword, words in series_texts(header):
        found = parse_label(words)
        if found.laterality:
            decides = found.view is not None  # a lone "LEFT" may be the examination's
            yield Clue(keyword, EvidenceLevel.SERIES_TEXT, found.laterality, decides)
    for keyword in _STUDY_TEXTS:
        if named := parse_label(" ".join(texts(header, keyword))).laterality:
            yield Clue(keyword, EvidenceLevel.STUDY, named)


def _views(header: Dataset) -> Iterator[Clue]:
    for value in code_values(items(header, "ViewCodeSequence")):
        if value in _VIEW_CODES:
            yield Clue("ViewCodeSequence", EvidenceLevel.IMAGE, _VIEW_CODES[value])
    stated = text(header, "ViewPosition")
    if view := parse_label(stated).view:
        level = EvidenceLevel.IMAGE if stated in tuple(ViewPosition) else EvidenceLevel.LABEL
        yield Clue("ViewPosition", level, view)
    orientation = text(header, "PatientOrientation")
    if orientation in ("CC", "MLO"):
        yield Clue("PatientOrientation", EvidenceLevel.LABEL, orientation)
    if name := parse_name(header):
        yield Clue("PatientID", EvidenceLevel.LABEL, name.view)
    elif _oblique_sides(header) and stated in _CAUDAL_VIEWS:
        yield Clue("PatientOrientation", EvidenceLevel.LABEL, "an oblique view")
    for keyword, words in series_texts(header):
        if view := parse_label(words).view:
            yield Clue(keyword, EvidenceLevel.SERIES_TEXT, view)


def _letter(ds: Dataset, keyword: str) -> str:
    """A side's letter, `UNCLEAR` for any other statement, "" without one."""
    stated = text(ds, keyword)
    if stated in ("L", "R", "LEFT", "RIGHT"):
        return Laterality(stated[0])
    return UNCLEAR if stated else ""


def _frame_anatomies(header: Dataset) -> Iterator[Dataset]:
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in items(header, keyword):
            yield from items(group, "FrameAnatomySequence")


def _coded_sides(header: Dataset, keyword: str) -> set[Laterality]:
    """The side that a region's codes and their modifiers name; none where they name both."""
    regions = items(header, keyword)
    codes = code_values(regions) + tuple(
        value
        for region in regions
        for modifiers in (
            "AnatomicRegionModifierSequence",
            "PrimaryAnatomicStructureModifierSequence",
        )
        for value in code_values(items(region, modifiers))
    )
    sides = {_SIDE_CODES[value] for value in codes if value in _SIDE_CODES}
    return sides if len(sides) == 1 else set()


def _oblique_sides(header: Dataset) -> set[Laterality]:
    return {
        _OBLIQUE_SIDES[direction]
        for direction in texts(header, "PatientOrientation")
        if direction in _OBLIQUE_SIDES
    }
