"""A cluster of calcifications (TID 4010) and the calcifications that make it (TID 4009)."""

from pydicom import Dataset

from cadnode.domain import ClusterDescription, Finding
from cadnode.report import codes
from cadnode.report import group_parts as parts
from cadnode.report.cad_sr import concepts, geometry, items
from cadnode.report.cad_sr.algorithms import Algorithm
from cadnode.report.cad_sr.library import Library


def cluster(described: ClusterDescription) -> list[Dataset]:
    """Type (CID 6010), distribution (CID 6012), number, and the diameter in mm (TID 1400)."""
    kind = codes.CALCIFICATION_TYPES[described.type]
    distribution = codes.DISTRIBUTIONS[described.distribution]
    diameter = parts.number(described.diameter_mm)
    return [
        items.code(items.PROPERTIES, codes.CALCIFICATION_TYPE, kind),
        items.code(items.PROPERTIES, codes.DISTRIBUTION, distribution),
        items.number(items.PROPERTIES, codes.N_CALCIFICATIONS, described.count, codes.NO_UNITS),
        items.number(items.PROPERTIES, codes.DIAMETER, diameter, codes.MILLIMETER),
    ]


def individuals(library: Library, finding: Finding, algorithm: Algorithm) -> list[Dataset]:
    """The calcifications of a cluster, each a finding that it is inferred from (TID 4006).

    Rendering is optional: the cluster's outline stands for them. TID 4009 has nothing to add: the
    type was estimated for the whole cluster.
    """
    intent = items.code(items.MODIFIER, concepts.RENDERING_INTENT, concepts.OPTIONAL)
    return [
        items.code(
            items.INFERRED,
            concepts.SINGLE_IMAGE_FINDING,
            concepts.CALCIFICATION,
            [intent, *algorithm.items(), *geometry.of_calcification(library, finding, one)],
        )
        for one in finding.calcifications
    ]
