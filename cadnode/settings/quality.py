"""How a node watches its scores (docs/quality.md)."""

from pydantic import Field, PositiveFloat

from cadnode.settings.section import Section


class QualitySection(Section):
    """Whether scores stay what they were, by scanner; each exam is one of the journal of scores."""

    baseline_exams: int = Field(
        300,
        ge=100,
        le=10_000,
        description="a scanner's first exams, since the same models read them, are what later ones "
        "are compared with: so many",
    )
    window_exams: int = Field(
        200,
        ge=100,
        le=5_000,
        description="the newest exams that are compared with them: so many. More show smaller "
        "changes, later",
    )
    every_s: PositiveFloat = Field(
        3600.0, description="how often the worker looks through the journal, in seconds"
    )
