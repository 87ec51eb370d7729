"""A view while it is read: its pixels, decoded once; its breast, found once; its score."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from cadnode.domain import FloatImage, Skipped, SkipReason
from cadnode.errors import CadnodeError, ModelError, NotProcessable
from cadnode.exam.exam import Mammogram
from cadnode.imaging import pixels
from cadnode.imaging.geometry import Mask, breast_mask
from cadnode.imaging.spacing import Spacing, spacing_of
from cadnode.models.view import ViewModel
from cadnode.reading.verdict import ScoredView, model_for

PixelLoader = Callable[[Mammogram], FloatImage]


@dataclass(frozen=True, eq=False)
class LoadedView:
    """A view with its pixels in memory; every step of its reading takes this one.

    `image` is `(H, W) float32 in [0, 1]`, dense tissue bright.
    """

    mammogram: Mammogram
    image: FloatImage

    @cached_property
    def mask(self) -> Mask | None:
        """The breast (`geometry.breast_mask`); None where none is seen. Found once, at need.

        The preprocessing of a view model that stretches views finds its own, of the stretched
        copy: the two may differ in single cells.
        """
        return breast_mask(self.image)

    @cached_property
    def spacing(self) -> Spacing:
        """Of its pixels, in the plane of the breast."""
        return spacing_of(self.mammogram)


def load_view(mammogram: Mammogram, load: PixelLoader = pixels.load) -> LoadedView:
    """The view, decoded; raises NotProcessable like `imaging.pixels.load`.

    Also for what nobody foresaw in its header: that view alone is then not read.
    """
    try:
        return LoadedView(mammogram, load(mammogram))
    except (CadnodeError, OSError, MemoryError):
        raise
    except Exception as error:
        detail = f"its pixels cannot be used ({type(error).__name__})"
        raise NotProcessable(SkipReason.PIXELS_CORRUPT, detail) from None


def score_view(view: LoadedView, model: ViewModel) -> ScoredView:
    """The view as the model reads it.

    Raises
    ------
    NotProcessable
        No breast was found in it.
    ModelError
        The network fails.
    """
    (reading,) = model.score([(view.image, view.mammogram.laterality)])
    return ScoredView(view.mammogram, reading, model)


def read_view(
    mammogram: Mammogram, models: Iterable[ViewModel], load: PixelLoader
) -> tuple[LoadedView, ScoredView]:
    """The view and its reading by the first model that applies to its acquisition.

    Raises
    ------
    NotProcessable
        No model applies, it cannot be decoded, or no breast was found.
    ModelError
        The network fails.
    """
    model = model_for(mammogram, models)
    if model is None:
        raise NotProcessable(SkipReason.NO_MODEL_APPLIES)
    view = load_view(mammogram, load)
    return view, score_view(view, model)


def skipped_view(mammogram: Mammogram, error: NotProcessable | ModelError) -> Skipped:
    """Why a view has no reading, as results state it."""
    uid = mammogram.sop_instance_uid
    if isinstance(error, NotProcessable):
        return Skipped(uid, error.reason, error.detail)
    return Skipped(uid, SkipReason.MODEL_FAILED)


def hanging_order(mammogram: Mammogram) -> tuple[str, bool]:
    """Sort key: CC before MLO, right before left."""
    return mammogram.view, mammogram.laterality == "L"
