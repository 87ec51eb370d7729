"""One lesion seen in CC and MLO: composite features (TID 4004, 4005)."""

from pydicom import Dataset

from cadnode.domain import Correspondence
from cadnode.report import codes
from cadnode.report import group_parts as parts
from cadnode.report.cad_sr import concepts, items
from cadnode.report.cad_sr.algorithms import ours
from cadnode.report.cad_sr.findings import single_image_finding, strongest, tracking
from cadnode.report.cad_sr.library import Library


def composite_feature(library: Library, number: int) -> Dataset:
    """Correspondence number `number` (from 0), inferred from its two single image findings.

    It is to be shown when one of the two is. No score is given: none was made of both views
    together.
    """
    edition = library.edition
    pair = edition.result.correspondences[number]
    both = [edition.result.findings[i] for i in (pair.cc, pair.mlo)]
    intent = strongest(edition.result, both)
    uid = edition.uid("tracking-correspondence", number)
    return items.code(
        items.CONTAINS,
        concepts.COMPOSITE_FEATURE,
        concepts.FEATURES[both[0].kind],
        [
            items.code(items.MODIFIER, concepts.RENDERING_INTENT, intent),
            *tracking(f"findings {pair.cc + 1} and {pair.mlo + 1}", uid),
            *_body(pair, estimated=parts.nipple_is_estimated(edition, pair)),
            *(single_image_finding(library, items.INFERRED, i) for i in (pair.cc, pair.mlo)),
        ],
    )


def _body(pair: Correspondence, *, estimated: bool) -> list[Dataset]:
    """TID 4005: how they belong together, who says so, and how sure."""
    cc, mlo = pair.nipple_mm
    kind = "estimated nipple distances" if estimated else "nipple distances"
    distances = f"{kind} {cc:.1f} and {mlo:.1f} mm"
    percent = 100 * parts.number(pair.certainty)
    return [
        items.code(items.PROPERTIES, concepts.COMPOSITE_TYPE, concepts.SPATIALLY_RELATED),
        items.code(items.PROPERTIES, concepts.SCOPE, concepts.ON_MULTIPLE_IMAGES),
        *ours(distances).items(),
        items.number(items.PROPERTIES, concepts.CERTAINTY_OF_FEATURE, percent, codes.PERCENT),
    ]
