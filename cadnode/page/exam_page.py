"""One exam's reading as one self-contained page, for a screen and, by its print style, for A4."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import cv2
from jinja2 import Template

from cadnode.beside import beside
from cadnode.domain import (
    SKIP_MEANINGS,
    ExamResult,
    Finding,
    FloatImage,
    HeatMap,
    Laterality,
    Outcome,
    SkipReason,
)
from cadnode.errors import NotProcessable
from cadnode.exam.exam import Mammogram
from cadnode.exam.patient import Patient
from cadnode.explain.overlay import display_size
from cadnode.explain.ramp import scale
from cadnode.html.environment import ON_SCREENS, environment
from cadnode.imaging.spacing import spacing_of
from cadnode.page import panels
from cadnode.page.content import PageContent
from cadnode.page.crops import crop_of, points
from cadnode.page.pictures import grey_url, map_url
from cadnode.report import codes
from cadnode.report.edition import ENSEMBLE, shown_map
from cadnode.report.scores import PHANTOM_NOTE
from cadnode.report.sr.measurement_groups import summary
from cadnode.report.wording import below_operating_point, calibrations, missing_breasts

LONGER_SIDE: Final = 1100
MAP_LONGER_SIDE: Final = 550
"""Of a view's map: it is smooth, and half as many pixels a side show it as well."""
MOST_CROPS: Final = 24
HANGING: Final = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
SEXES: Final = {"F": "female", "M": "male", "O": "other"}


def exam_page(content: PageContent) -> str:
    """The page as HTML; everything it shows is inside of it."""
    return _template().render(_context(content))


@cache
def _template() -> Template:
    """The page's template, compiled once in a process."""
    templates = environment("cadnode.page", dark=ON_SCREENS)
    templates.filters["css"] = css_text
    return templates.get_template("exam.html.jinja")


def css_text(text: str) -> str:
    """The text as it may stand between quotes in a style sheet: ASCII but letters is escaped."""
    plain = (c if c.isalnum() or not c.isascii() else f"\\{ord(c):X} " for c in text)
    return "".join(plain)


def _context(content: PageContent) -> dict[str, Any]:
    result = content.result
    guessed = {m.sop_instance_uid for m in content.exam.mammograms if spacing_of(m).estimated}
    names = {m.sop_instance_uid: f"{m.laterality}{m.view}" for m in content.exam.mammograms}
    views, crops = _pictures(content)
    patient = content.patient or Patient()
    return {
        "title": content.title,
        "subtitle": content.subtitle,
        "disclaimer": content.disclaimer,
        "patient": _patient(patient),
        "headline": _headline(patient),
        "made_at": f"{content.made_at:%Y-%m-%d %H:%M %Z}".strip() if content.made_at else "",
        "asides": content.asides,
        "views": views,
        "summary": summary(result).meaning,
        "scores": panels.scores(result),
        "image_and_age": panels.image_and_age(result),
        "threshold": result.operating_point,
        "columns": panels.columns(result, content.cards),
        "phantom": [s.value for s in panels.phantom_trained(result, content.cards)],
        "findings": [
            panels.finding_row(
                n,
                f,
                names.get(f.sop_instance_uid, ""),
                result,
                estimated=f.sop_instance_uid in guessed,
            )
            for n, f in enumerate(result.findings, start=1)
        ],
        "crops": crops,
        "phantom_note": PHANTOM_NOTE,
        "below": below_operating_point(result),
        "no_findings": _no_findings(result),
        "skipped": panels.skipped(result, names),
        "missing": missing_breasts(result),
        "calibrations": calibrations(result),
        "evidence": panels.evidence(result, names),
        "systems": panels.halves(panels.system_panels(result, content.cards)),
        "ramp": scale(),
    }


def _no_findings(result: ExamResult) -> str:
    """What stands where no finding does; an exam that was read in part is no negative exam."""
    if result.outcome is Outcome.NOT_READ:
        return "The exam could not be read."
    whole = summary(result) is codes.ALL_WITHOUT_FINDINGS
    return "Nothing was found." if whole else "Nothing was found in what was read of the exam."


def _patient(patient: Patient) -> list[tuple[str, str]]:
    """What identifies the patient and the study, as far as it is known."""
    rows = [
        ("Patient", " · ".join(patient.names)),
        ("ID", patient.patient_id),
        ("Born", f"{patient.birth_date or ''}"),
        ("Sex", SEXES.get(patient.sex, "")),
        ("Study", f"{patient.study_date or ''}"),
        ("Accession", patient.accession_number),
        ("Description", patient.study_description),
    ]
    return [(name, value) for name, value in rows if value]


def _headline(patient: Patient) -> str:
    """What stands on each sheet of paper: the first name, the ID, the birth and study dates."""
    born = f"born {patient.birth_date}" if patient.birth_date else ""
    study = f"study of {patient.study_date}" if patient.study_date else ""
    parts = (*patient.names[:1], patient.patient_id, born, study)
    # Isolated from each other, as <bdi> does: a number after an Arabic name stays behind it.
    return " · ".join(f"\N{FIRST STRONG ISOLATE}{p}\N{POP DIRECTIONAL ISOLATE}" for p in parts if p)


def _pictures(content: PageContent) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
    """The views as they hang, and the crops by the finding's number; each image is loaded once."""
    with beside("page-view", threads=2) as pool:
        drawn = [*pool.map(lambda m: _pictures_of(m, content), _hung(content.exam.mammograms))]
    crops = {number: crop for _, of_view in drawn for number, crop in of_view.items()}
    return [view for view, _ in drawn], dict(sorted(crops.items()))


def _pictures_of(
    m: Mammogram, content: PageContent
) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """A view, and the crops of its findings by their number."""
    result = content.result
    numbered = enumerate(result.findings, start=1)
    found = [(n, f) for n, f in numbered if f.sop_instance_uid == m.sop_instance_uid]
    try:
        image = content.image(m.sop_instance_uid)
    except NotProcessable as error:
        return _without_picture(m, result, error.reason), {}
    shown = [(n, f) for n, f in found if n <= MOST_CROPS]
    crops = {n: crop_of(f, m, image, result) for n, f in shown}
    return _view(m, image, result, found), crops


def _hung(mammograms: Sequence[Mammogram]) -> list[Mammogram]:
    """Views as they hang: RCC, LCC, RMLO, LMLO, then others."""

    def place(m: Mammogram) -> int:
        key = (str(m.laterality), str(m.view))
        return HANGING.index(key) if key in HANGING else len(HANGING)

    return sorted(mammograms, key=place)


def _view(
    m: Mammogram, image: FloatImage, result: ExamResult, found: Sequence[tuple[int, Finding]]
) -> dict[str, Any]:
    """A view with its map, its score or the reason why there is none, and its findings."""
    rows, columns = image.shape
    size = display_size(rows, columns, LONGER_SIDE)
    heat_map = shown_map(result, m.sop_instance_uid)
    return {
        **_labels(m, result),
        "image": grey_url(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)),
        "map": _map_url(heat_map, (rows, columns)) if heat_map is not None else None,
        "map_name": _map_name(heat_map) if heat_map is not None else "",
        "rows": rows,
        "columns": columns,
        "findings": [
            {
                "number": number,
                "probability": finding.probability,
                "points": points(finding.outline),
                "row": finding.box.row0,
                "column": (finding.box.col0 + finding.box.col1) / 2,
            }
            for number, finding in found
        ],
    }


def _map_url(heat_map: HeatMap, view: tuple[int, int]) -> str:
    return map_url(heat_map, view, display_size(*view, MAP_LONGER_SIDE))


def _without_picture(m: Mammogram, result: ExamResult, reason: SkipReason) -> dict[str, Any]:
    """The place of a view whose pixels cannot be shown, and why."""
    view = _labels(m, result)
    why = view["why"] or SKIP_MEANINGS[reason]
    return {**view, "image": None, "map_name": "", "why": why}


def _labels(m: Mammogram, result: ExamResult) -> dict[str, Any]:
    """A view's name, side, and its score or the reason why there is none."""
    uid = m.sop_instance_uid
    return {
        "name": f"{m.laterality}{m.view}",
        # Right breasts hang on the viewer's left, chest walls meet in the middle.
        "side": "right" if m.laterality is Laterality.RIGHT else "left",
        "score": next((v.score for v in result.views if v.sop_instance_uid == uid), None),
        "why": next(
            (SKIP_MEANINGS[s.reason] for s in result.skipped if s.sop_instance_uid == uid), ""
        ),
    }


def _map_name(heat_map: HeatMap) -> str:
    return "ensemble map" if heat_map.algorithm == ENSEMBLE else f"map of {heat_map.algorithm}"
