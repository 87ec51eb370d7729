"""A cluster of calcifications (TID 4010) and the calcifications that make it (TID 4009)."""

from pydicom import Dataset
from pydicom.sr.coding import Code

from cadnode.domain import ClusterDescription, Finding
from cadnode.report import codes
from cadnode.report import group_parts as parts
from cadnode.report.cad_sr import concepts, geometry, items
from cadnode.report.cad_sr.algorithms import Algorithm
from cadnode.report.cad_sr.library import Library
from cadnode.report.edition import Edition


def cluster(described: ClusterDescription, *, estimated: bool) -> list[Dataset]:
    """Type (CID 6010), distribution (CID 6012), number, and the diameter in mm (TID 1400).

    TID 1400 has no way to say "estimated", and the template is closed: a diameter that rests on a
    guessed pixel size is left to `sizes_in_words`.
    """
    kind = codes.CALCIFICATION_TYPES[described.type]
    distribution = codes.DISTRIBUTIONS[described.distribution]
    made = [
        items.code(items.PROPERTIES, codes.CALCIFICATION_TYPE, kind),
        items.code(items.PROPERTIES, codes.DISTRIBUTION, distribution),
        items.number(items.PROPERTIES, codes.N_CALCIFICATIONS, described.count, codes.NO_UNITS),
    ]
    if estimated:
        return made
    diameter = parts.number(described.diameter_mm)
    return [*made, items.number(items.PROPERTIES, codes.DIAMETER, diameter, codes.MILLIMETER)]


def sizes_in_words(edition: Edition, finding: Finding) -> tuple[str, ...]:
    """The diameter that has no item of its own, as an algorithm parameter (111002)."""
    if finding.cluster is None or not parts.diameter_is_estimated(edition, finding):
        return ()
    diameter = parts.number(finding.cluster.diameter_mm)
    return (f"estimated diameter {diameter:g} mm: the image states no pixel size",)


def individuals(
    library: Library, finding: Finding, algorithm: Algorithm, intent: Code
) -> list[Dataset]:
    """The calcifications of a cluster, each a finding that it is inferred from (TID 4006).

    Their rendering is never required: the cluster's outline stands for them. TID 4009 has nothing
    to add: the type was estimated for the whole cluster.
    """
    rendering = items.code(items.MODIFIER, concepts.RENDERING_INTENT, intent)
    return [
        items.code(
            items.INFERRED,
            concepts.SINGLE_IMAGE_FINDING,
            concepts.CALCIFICATION,
            [rendering, *algorithm.items(), *geometry.of_calcification(library, finding, one)],
        )
        for one in finding.calcifications
    ]
