"""What an exam's page is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cadnode.domain import ExamResult, FloatImage
from cadnode.exam.exam import Exam
from cadnode.exam.patient import Patient
from cadnode.models.card import ModelCard


@dataclass(frozen=True, slots=True)
class Aside:
    """A box beside the views: a text, or rows of two cells; `first` puts it above the others."""

    title: str
    text: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    first: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class PageContent:
    """All that the page shows.

    Parameters
    ----------
    image
        Gives a view as `(H, W) float32 in [0, 1]` by its SOP Instance UID. Where it raises
        NotProcessable the page shows an empty place instead.
    cards
        Of the models that took part, as far as they are known.
    patient
        Whose page it is.
    asides
        What is known beside the reading itself.
    """

    title: str
    subtitle: str
    disclaimer: str
    exam: Exam
    result: ExamResult
    image: Callable[[str], FloatImage]
    cards: Sequence[ModelCard] = ()
    patient: Patient | None = None
    made_at: datetime | None = None
    asides: Sequence[Aside] = ()
