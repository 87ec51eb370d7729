"""Settings of the whole test suite."""

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_rerunfailures
import structlog
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from cadnode.models.loading import Model

# The tests' worker processes are told a width, and rich would keep to it from its import on.
os.environ.pop("COLUMNS", None)

# DCMTK's storescu is meant, also where a virtual environment is active: pynetdicom brings commands
# of the same names.
_ACTIVE = {Path(sys.prefix, "bin"), Path(os.environ.get("VIRTUAL_ENV", sys.prefix), "bin")}
os.environ["PATH"] = os.pathsep.join(
    folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) not in _ACTIVE
)

# Two of the tests' processes share the cores, and nodes beside them: a thread of torch's that has
# nothing to do sleeps. Else it turns on the spot and takes the time of those that have.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A busy machine is no failure: no deadlines, slow generation is not a health problem; the same
# examples every time, so that a red run can be run again.
settings.register_profile(
    "cadnode",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("cadnode")


_TRIES = 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A busy machine is no failure: what drives threads, nodes or browsers gets further tries."""
    for item in items:
        item.add_marker(pytest.mark.flaky(reruns=_TRIES - 1))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The last try has a node of its own: the first may have used up what its module shares."""
    module = item.getparent(pytest.Module)
    if module is not None and getattr(item, "execution_count", 1) == _TRIES:
        # The plugin that tries again keeps their ends apart; then as after a module's last test.
        pytest_rerunfailures._restore_suspended_finalizers(item)
        item.session._setupstate.teardown_exact(module.parent)  # type: ignore[arg-type]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why a try failed is said, also where a later one passed: it may be a race."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"tried again: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext[-6000:])


_LOGGING = structlog.get_config()


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A test that runs a command in this process leaves no other its way of logging.

    Nor does a fixture that several tests share: what it set is there when a test begins.
    """
    yield
    structlog.configure(**_LOGGING)


@pytest.fixture(scope="module")
def models_loaded_once() -> Iterator[None]:
    """The first command that reads with the packaged models loads them for all of a module.

    For tests whose point is not the loading: it takes three seconds.
    """
    from cadnode.models import store
    from cadnode.node import readers

    fresh, kept = readers.load, cache(readers.load)

    def load(folder: Path, *place: Any, **options: Any) -> "Model":
        chosen = kept if store.PACKAGED in folder.parents else fresh
        return chosen(folder, *place, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "load", load)
        yield
