"""What a bundle's `configs/metadata.json` has to hold, as a JSON Schema.

MONAI's own schema of 2024-07-25 (`SCHEMA_URL`) asks for the same fields and types; this one is
written into each bundle, so that `verify_metadata` works without a network, and is stricter about
tensors. Source: MONAI Bundle Specification, section "metadata.json File".
"""

from typing import Any, Final

SCHEMA_URL: Final = "https://project-monai.github.io/schema/meta_schema_20240725.json"
_TEXT: Final = {"type": "string", "minLength": 1}
_VERSIONS: Final = {"type": "object", "additionalProperties": _TEXT}
_TENSOR: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "type": _TEXT,
        "format": _TEXT,
        "modality": _TEXT,
        "num_channels": {"type": "integer", "minimum": 1},
        "spatial_shape": {"type": "array", "items": {"type": ["integer", "string"]}},
        "dtype": {"enum": ["float32"]},
        "value_range": {"type": "array", "items": {"type": "number"}, "maxItems": 2},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object", "additionalProperties": _TEXT},
    },
    "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"],
    "additionalProperties": False,
}
_TENSORS: Final = {"type": "object", "minProperties": 1, "additionalProperties": _TENSOR}
_REQUIRED: Final = (
    "schema", "version", "monai_version", "pytorch_version", "numpy_version",
    "required_packages_version", "task", "description", "authors", "copyright",
    "network_data_format",
)  # fmt: skip

SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2019-09/schema",
    "title": "metadata.json of a MONAI bundle that cadnode wrote",
    "type": "object",
    "properties": {
        **dict.fromkeys(_REQUIRED, _TEXT),
        **dict.fromkeys(("name", "intended_use", "data_source", "data_type"), _TEXT),
        **dict.fromkeys(("image_classes", "pred_classes"), _TEXT),
        "required_packages_version": _VERSIONS,
        "changelog": _VERSIONS,
        "eval_metrics": {"type": "object", "additionalProperties": {"type": "number"}},
        "references": {"type": "array", "items": _TEXT},
        "network_data_format": {
            "type": "object",
            "properties": {"inputs": _TENSORS, "outputs": _TENSORS},
            "required": ["inputs", "outputs"],
        },
    },
    "required": list(_REQUIRED),
}
