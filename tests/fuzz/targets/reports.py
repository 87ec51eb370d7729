"""What is written from hostile headers: reports, heat maps, FHIR, the page (`report`, `page`)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from cadnode.domain import Profile
from cadnode.errors import NotProcessable, ReportError
from cadnode.exam.patient import patient_of
from cadnode.exam.read import read_study
from cadnode.page.content import PageContent
from cadnode.page.exam_page import exam_page
from cadnode.report.edition import Edition
from cadnode.report.fhir.bundle import bundle
from cadnode.report.objects import make_objects
from cadnode.report.profiles import ObjectKind
from cadnode.report.result import to_json
from tests.fuzz.oracles import Violation
from tests.fuzz.targets.files import DicomFiles, file_bytes, view
from tests.report_cases import image_of, result_of

_MADE_AT = datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC)
_KINDS = frozenset(kind for kind in ObjectKind if kind is not ObjectKind.PDF)
_MOST_PIXELS = 1 << 20  # what a header says that lies about its pixels is not painted


class Written(DicomFiles):
    """One view's header becomes every object of the profile `all`, a bundle and a page."""

    name = "report"
    allowed = (NotProcessable, ReportError)
    weight = 0.3

    def seeds(self) -> list[bytes]:
        assert Profile.ALL
        hostile = view()
        hostile.PatientName = "<script>alert(1)</script>^\"'"
        hostile.StudyDescription = hostile.SeriesDescription = "<script>alert(1)</script>"
        hostile.PatientID = hostile.AccessionNumber = "<script>alert(1)"
        return [file_bytes(view()), file_bytes(hostile)]

    def run(self, data: bytes) -> Iterator[str]:
        for exam in read_study([self.written(data)]):
            if any(m.rows * m.columns > _MOST_PIXELS for m in exam.mammograms):
                return
            result = result_of(exam, "none" if exam.mammograms else "failed")
            image = partial(image_of, exam)
            json.dumps(to_json(result, made_at=_MADE_AT), allow_nan=False)
            page = exam_page(
                PageContent(
                    "t", "s", "d", exam, result, image, patient=patient_of(exam.reference),
                    made_at=_MADE_AT,
                )
            )  # fmt: skip
            if "<script>alert" in page:
                raise Violation("the page does not escape a value")
            page.encode()
            json.dumps(bundle(Edition(exam, result, _MADE_AT)), allow_nan=False)
            for ds in make_objects(exam, result, image, _MADE_AT, kinds=_KINDS, longest_side=64):
                file_bytes(ds)
        yield ""
