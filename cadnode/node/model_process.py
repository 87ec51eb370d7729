"""Looks at models, or changes them, in a process of its own: the HTTP side starts without torch.

    {"settings", "parent", "order"} on standard input -> {"shown" | "done" | "error"} on its output

The changes are those of `cadnode models`, by the same functions.
"""

import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cadnode import log as logs
from cadnode.errors import CadnodeError
from cadnode.node import model_overview, orphans
from cadnode.node.model_facts import facts
from cadnode.registry import installation, promotion, shadow_set
from cadnode.registry.history import ChangeAuthor, grounds
from cadnode.settings import Settings
from cadnode.web.models import ModelDone, ModelOrder


def main() -> int:
    """Exit code: 0 when the answer is written, whatever it is."""
    answer_to = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # a library's word on standard output is no answer
    task = json.load(sys.stdin)
    logs.configure("CRITICAL")
    orphans.end_with(task["parent"])
    with answer_to:
        json.dump(answer(task), answer_to)
    return 0


def answer(task: dict[str, Any]) -> dict[str, Any]:
    """What is shown, what was done, or why not."""
    values = Settings.model_validate(task["settings"])
    try:
        if task["order"] is None:
            return {"shown": facts(values).model_dump(mode="json")}
        order = ModelOrder.model_validate(task["order"])
        return {"done": carry_out(values, order, datetime.now(UTC)).model_dump(mode="json")}
    except CadnodeError as error:
        return {"error": str(error)}


def carry_out(values: Settings, order: ModelOrder, now: datetime) -> ModelDone:
    """What became of an order.

    Raises
    ------
    SettingsError
        There is no such model or version, nothing to go back to, or a reason is not one line.
    ModelError
        It does not work, its signature does not hold, or the evidence is none.
    """
    stores, examine = model_overview.stores(values), model_overview.examine
    by, why = ChangeAuthor(order.by, now), grounds(order.reason)
    if order.act in ("judge", "promote"):
        return _promotion(values, order, by)
    if order.act == "activate":
        version = order.version or None
        found = installation.activate(stores, order.name, version, by, examine, why)
        return ModelDone(is_done=True, version=found)
    if order.act == "rollback":
        back = installation.rollback(stores, order.name, by, examine, why)
        return ModelDone(is_done=True, version=back)
    if order.act == "deactivate":
        installation.deactivate(stores, order.name, by, why)
    elif order.act == "shadow_start":
        shadow_set.start(stores, order.spec, values.reading.shadow, by, examine, why)
    else:
        shadow_set.stop(stores, order.name, values.reading.shadow, by, why)
    return ModelDone(is_done=True, version=order.version or None)


def _promotion(values: Settings, order: ModelOrder, by: ChangeAuthor) -> ModelDone:
    """The verdict on evidence that came as text; of `promote`, with what follows from it."""
    stores = model_overview.stores(values)
    with tempfile.TemporaryDirectory(prefix="cadnode-") as name:
        evidence, rule = Path(name) / "comparison.json", Path(name) / "rule.toml"
        evidence.write_text(order.evidence, encoding="utf-8", newline="\n")
        rule.write_text(order.rule, encoding="utf-8", newline="\n")
        limits = promotion.read_rule(rule if order.rule.strip() else None)
        if order.act == "judge":
            done = promotion.weigh(stores, order.spec, evidence, limits)
        else:
            done = promotion.promote(
                stores, order.spec, evidence, limits, by, model_overview.examine,
                reason=order.reason, forced=order.forced,
            )  # fmt: skip
    return ModelDone(
        is_done=done.done and order.act == "promote",
        version=done.version,
        is_allowed=done.verdict.allowed,
        sentences=tuple(promotion.sentences(done)),
    )


if __name__ == "__main__":
    sys.exit(main())
