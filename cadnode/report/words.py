"""What a finding is called and who speaks for it, the same wherever it is shown to people."""

from cadnode.domain import Assessment, ClusterDescription, Finding, FindingKind, System

KIND_NAMES = {
    FindingKind.CALCIFICATION_CLUSTER: "calcification cluster",
    FindingKind.MASS: "mass",
    FindingKind.SUSPICIOUS_REGION: "suspicious region",
    FindingKind.MARKED_REGION: "marked region",
}


def counting(finding: Finding) -> Assessment | None:
    """The assessment whose probability counts as the finding's; None where nobody assessed it."""
    return next((a for a in finding.assessments if a.algorithm == finding.algorithm), None)


def assessment_by(finding: Finding, system: System) -> Assessment | None:
    """What that system says of the finding, if it says anything.

    The counting assessment is preferred where a system speaks more than once.
    """
    told = [a for a in finding.assessments if a.system is system]
    chosen = counting(finding)
    return chosen if chosen in told else next(iter(told), None)


def descriptors(cluster: ClusterDescription, *, estimated: bool = False) -> str:
    """Such as "fine pleomorphic · grouped · 12 · 8 mm": type, distribution, count, diameter.

    "estimated 8 mm" where the header states no pixel size, which the reading or the caller knows.
    """
    words = (cluster.type.value.replace("_", " "), cluster.distribution.value)
    size = f"{cluster.diameter_mm:.{0 if cluster.diameter_mm >= 2 else 1}f} mm"
    size = f"estimated {size}" if estimated or cluster.diameter_estimated else size
    return " · ".join((*words, str(cluster.count), size))
