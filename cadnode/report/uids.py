"""UIDs that are derived, never drawn: the same reading gives the same objects."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import numpy as np

from cadnode.domain import ExamResult, HeatMap

# The one namespace of everything this software makes (PS3.5 section B.2: UUID derived UIDs).
NAMESPACE: Final = uuid.UUID("5b1b2c64-6a2f-5f0c-9d3e-0f5d1a7c9e21")


def object_uid(
    *,
    study_instance_uid: str,
    source_uids: Sequence[str],
    models: Sequence[str],
    fingerprint: str,
    kind: str,
    index: int = 0,
) -> str:
    """UID `2.25.<integer of a version 5 UUID>` of an object, series or region.

    It depends on all arguments and on nothing else; the order of `source_uids` and of
    `models` does not matter. `kind` tells objects of one reading apart ("sr", "heatmap",
    "sr-series" …), `index` those of one kind.
    """
    parts = [study_instance_uid, sorted(source_uids), sorted(models), fingerprint, kind, index]
    name = json.dumps(parts, separators=(",", ":"), ensure_ascii=True)
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"


def fingerprint(result: ExamResult, *options: object) -> str:
    """Sha256 over all a result says, heat maps included, and over the options of the report."""
    told = {k: v for k, v in _plain(result).items() if k != "heat_maps"}
    digest = hashlib.sha256(json.dumps([told, [repr(o) for o in options]]).encode("ascii"))
    for heat_map in result.heat_maps:
        digest.update(_heat_map_bytes(heat_map))
    return digest.hexdigest()


def _plain(result: ExamResult) -> dict[str, object]:
    """Fields of a result as JSON knows them; heat maps left out, they are hashed as bytes."""
    fields = {name: getattr(result, name) for name in ExamResult.__slots__}
    return {
        name: [asdict(item) for item in value] if isinstance(value, tuple) else value
        for name, value in fields.items()
        if name != "heat_maps"
    }


def _heat_map_bytes(heat_map: HeatMap) -> bytes:
    """Bytes that stand for a heat map, the same on machines of either byte order."""
    names = (heat_map.sop_instance_uid, heat_map.algorithm)
    head = json.dumps([*names, list(heat_map.box), heat_map.values.shape])
    return head.encode("ascii") + np.ascontiguousarray(heat_map.values, dtype="<f4").tobytes()
