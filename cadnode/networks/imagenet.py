"""ImageNet weights for a timm network with one input channel; safetensors only."""

import re
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cadnode.errors import ModelError

_SUFFIX: Final = ".safetensors"
# torchvision's DenseNets call `norm1` of a layer `norm.1`.
_DENSE_LAYER: Final = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
_AUXILIARY: Final = "AuxLogits."


def download(weights: str) -> Path:
    """The file of timm's ImageNet weights (`resnet101.tv_in1k`), fetched unless in the cache.

    Raises
    ------
    ModelError
        It is neither in the cache nor can it be fetched.
    """
    import huggingface_hub  # comes with timm; only training fetches weights

    try:
        return Path(huggingface_hub.hf_hub_download(f"timm/{weights}", "model.safetensors"))
    except (huggingface_hub.errors.HfHubHTTPError, OSError, ValueError, RuntimeError):
        raise ModelError(
            f"the ImageNet weights {weights} could not be fetched from huggingface.co: give the "
            f"path of a {_SUFFIX} file (model.safetensors of timm/{weights}) when this machine "
            "is offline"
        ) from None


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name.

    Raises
    ------
    ModelError
        It is of another kind, missing or damaged. Pickles (.pth, .pt, .bin) are refused: reading
        one can run code.
    """
    if path.suffix != _SUFFIX:
        raise ModelError(
            f"{path.name} is no {_SUFFIX} file, and nothing else is read, because a pickle can "
            "run code: fetch model.safetensors of the same weights from huggingface.co/timm, or "
            "convert on a machine that may run it (torch.load with weights_only=True, then "
            "safetensors.torch.save_file)"
        )
    try:
        return load_file(path)
    except OSError:
        raise ModelError(f"{path.name} cannot be read") from None
    except (SafetensorError, ValueError):
        raise ModelError(f"{path.name} is no safetensors file, or a damaged one") from None


def start_from(body: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Give a timm network these ImageNet weights in place; its classifier stays random.

    The first convolution's weights are summed over red, green and blue: a grey image gives what
    an image of three equal channels would (Kang 2021 fine-tunes all layers and replaces the
    classifier).

    Raises
    ------
    ModelError
        The weights are another network's.
    """
    facts: dict[str, Any] = body.pretrained_cfg  # type: ignore[assignment]
    first, classifier = f"{facts['first_conv']}.weight", f"{facts['classifier']}."
    fitting = {
        _DENSE_LAYER.sub(r"\1\2", key): value
        for key, value in state.items()
        if not key.startswith((classifier, _AUXILIARY))
    }
    if first in fitting:
        fitting[first] = fitting[first].sum(1, keepdim=True)
    try:
        missing, unexpected = body.load_state_dict(fitting, strict=False)
    except RuntimeError:
        raise ModelError(f"the weights do not fit {name}") from None
    lacking = [k for k in missing if not k.startswith(classifier) and "num_batches" not in k]
    if unexpected or lacking:
        raise ModelError(f"the weights do not fit {name}")
