"""How a lesion of either kind is drawn: a mass or a cluster."""

from numpy.random import Generator

from cadnode.domain import FindingKind, FloatImage
from cadnode_training.phantom import cluster, masses
from cadnode_training.phantom.cluster import Site
from cadnode_training.phantom.descriptors import PhantomCase, PlantedLesion


def plant(
    rng: Generator, image: FloatImage, site: Site, case: PhantomCase, number: int = 0
) -> PlantedLesion:
    """The lesion that was drawn into the image, in place."""
    if case.kind == FindingKind.CALCIFICATION_CLUSTER:
        return cluster.plant(rng, image, site, case, number)
    return masses.plant(rng, image, site, case, number)
