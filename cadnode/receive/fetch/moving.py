"""A study that an archive sends to our listener, which puts it into the spool itself."""

from cadnode.log import hashed
from cadnode.receive.fetch.dimse import DimseSource
from cadnode.receive.fetch.fetch import Fetched, FetchFailure, Receiver
from cadnode.receive.fetch.listing import wanted
from cadnode.receive.fetch.requests import FetchCode, Request


def moved(request: Request, source: DimseSource, spool: Receiver) -> Fetched:
    """The study's mammograms and marked regions, in `spool` when this returns.

    What is there already is not asked for.

    Raises
    ------
    FetchFailure
        The archive does not know the study, holds no mammograms of it, or does not send them.
    """
    study = hashed(request.study_instance_uid)

    def here() -> set[str]:
        return {path.stem for path in spool.instances(study)}

    listed = source.instances(request)
    ours = {hashed(one.sop_instance_uid): one for one in wanted(listed)}
    if not ours:
        code = FetchCode.NO_MAMMOGRAMS if listed else FetchCode.UNKNOWN_STUDY
        raise FetchFailure(code, code.value.replace("_", " "), retryable=False)
    before = here()
    if missing := [one for key, one in ours.items() if key not in before]:
        source.move(request, missing)
    n_new = len((here() - before) & ours.keys())
    if n_lacking := len(ours.keys() - here()):
        raise FetchFailure(
            FetchCode.INSTANCE_MISSING, f"{n_lacking} instances did not arrive",
            retryable=True, n_new=n_new,
        )  # fmt: skip
    return Fetched(len(ours), n_new)
