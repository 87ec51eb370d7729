"""The Mammography CAD SR's codes against their context groups (PS3.16)."""

from typing import Any

import pytest
from pydicom.sr.codedict import Collection

from cadnode.domain import FindingKind
from cadnode.report import codes
from cadnode.report.cad_sr import concepts


@pytest.mark.parametrize(
    ("code", "group"),
    [
        *[(c, 6014) for c in concepts.FINDINGS.values()],
        (concepts.CALCIFICATION, 6014),
        *[(c, 6016) for c in concepts.FEATURES.values()],
        *[(c, 6022) for c in concepts.SIDES.values()],
        *[(c, 6034) for c in (concepts.REQUIRED, concepts.OPTIONAL, concepts.NOT_SHOWN)],
        (concepts.SPATIALLY_RELATED, 6035),
        (concepts.ON_MULTIPLE_IMAGES, 6036),
        *[
            (c, 6042)
            for c in (
                concepts.SUCCEEDED,
                concepts.PARTIALLY_SUCCEEDED,
                codes.FAILED,
                codes.NOT_ATTEMPTED,
            )
        ],
        *[
            (c, 6043)
            for c in (concepts.COLLOCATION, concepts.REGION_ANALYSIS, concepts.EXAM_ANALYSIS)
        ],
        *[
            (c, 6048)
            for c in (
                concepts.CASE_SENSITIVITY,
                concepts.CASE_SPECIFICITY,
                concepts.LESION_SENSITIVITY,
                concepts.IMAGE_SPECIFICITY,
            )
        ],
        *[(c, 6010) for c in codes.CALCIFICATION_TYPES.values()],
        *[(c, 6012) for c in codes.DISTRIBUTIONS.values()],
    ],
    ids=lambda value: str(getattr(value, "value", value)),
)
def test_codes_are_those_of_their_context_group(code: Any, group: int) -> None:
    assert code in Collection(f"CID{group}").concepts.values()


def test_every_kind_of_finding_has_a_code_in_one_view_and_in_two() -> None:
    assert set(concepts.FINDINGS) == set(concepts.FEATURES) == set(FindingKind)
