"""What `cadnode patients` shows: what there is of a patient, and what was erased and proved."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from cadnode.cli.command import out, print_json
from cadnode.terminal import counted, styled

if TYPE_CHECKING:
    from cadnode.node.erasure.erasure import Erased
    from cadnode.node.erasure.outlook import Outlook
    from cadnode.node.erasure.search import SearchReport

_SHOWN: Final = 20


def owed_words(not_read: bool, destinations: Sequence[str]) -> str:
    """What is not done of a study, in words."""
    missing = f"not delivered to {', '.join(destinations)}" if destinations else ""
    return ", ".join(filter(None, ("not read" if not_read else "", missing)))


def sum_of(outlook: "Outlook", beyond: dict[str, int]) -> str:
    """How much there is, in words."""
    found = outlook.selection
    more = "".join(f", {n} {what}" for what, n in beyond.items() if n)
    left = " (an erasure that was broken off is taken up)" if outlook.resumed else ""
    return (
        f"{counted(found.n_images, 'image')} and {counted(found.n_parts, 'result')} in "
        f"{counted(len(found.shares), 'study', 'studies')}"
        f"{more}{left}"
    )


def show(outlook: "Outlook", beyond: dict[str, int], *, as_json: bool, dry_run: bool) -> None:
    """What there is."""
    from cadnode.node.erasure.elsewhere import REMAINS

    if as_json:
        print_json(_as_json(outlook, beyond, dry_run=dry_run))
        return
    if outlook.is_empty and not any(beyond.values()):
        out.print("This node holds nothing of that patient.")
    else:
        out.print(f"Found: {sum_of(outlook, beyond)}.", highlight=False, soft_wrap=True)
        out.print(_studies_table(outlook))
    if outlook.selection.n_unclear:
        out.print(
            "It is not said whose these are: "
            f"{counted(outlook.selection.n_unclear, 'file')} of other studies.",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    _print_elsewhere(outlook.plan.elsewhere, REMAINS)


def _as_json(outlook: "Outlook", beyond: dict[str, int], *, dry_run: bool) -> dict[str, Any]:
    owed = {one.study: one for one in outlook.owed}
    return {
        "schema_version": 1,
        "dry_run": dry_run,
        "resumed": outlook.resumed,
        "studies": [
            {
                "study": share.study, "whole": share.is_whole, "images": len(share.images),
                "results": len(share.parts), "images_of_others": share.n_other_images,
                "unclear": share.n_unclear, "pinned": share.study in outlook.pinned,
                "not_read": share.study in owed and owed[share.study].not_read,
                "undelivered": list(owed[share.study].destinations) if share.study in owed else [],
            }
            for share in outlook.selection.shares
        ],
        "unclear_elsewhere": outlook.selection.n_unclear,
        "beyond": beyond,
        "delivered": outlook.plan.elsewhere,
    }  # fmt: skip


def _studies_table(outlook: "Outlook") -> Table:
    owed = {one.study: owed_words(one.not_read, one.destinations) for one in outlook.owed}
    table = Table("study", "images", "results", "others' images", "", box=None, pad_edge=False)
    for share in outlook.selection.shares:
        pinned = "pinned" if share.study in outlook.pinned else ""
        unclear = f"{share.n_unclear} unclear" if share.n_unclear else ""
        notes = "; ".join(filter(None, (pinned, owed.get(share.study, ""), unclear)))
        table.add_row(
            share.study, str(len(share.images)), str(len(share.parts)),
            str(share.n_other_images), notes,
        )  # fmt: skip
    return table


def _print_elsewhere(delivered: Sequence[dict[str, Any]], remains: Sequence[str]) -> None:
    """What this node cannot erase."""
    if delivered:
        table = Table("delivered to", "results", "objects", "to do", box=None, pad_edge=False)
        for one in delivered:
            kinds = ", ".join(f"{n} {kind}" for kind, n in one["objects"].items())
            table.add_row(one["destination"], str(one["results"]), kinds, one["how"])
        out.print()
        out.print(table)
    out.print("\nThis node does not reach:")
    for line in remains:
        out.print(f"  {line}", highlight=False, soft_wrap=True)


def report(erased: "Erased", storage: Path, *, as_json: bool) -> None:
    """What was done, and what the search says."""
    from cadnode.node.erasure.elsewhere import REMAINS
    from cadnode.node.erasure.erasure import summary

    found, plan = erased.search, erased.plan
    if as_json:
        print_json({
            "schema_version": 1, "dry_run": False, "removed": dict(sorted(plan.removed.items())),
            "search": summary(found, plan) | {"where": _where(found, storage)},
            "delivered": plan.elsewhere, "remains": list(REMAINS),
            "record": str(erased.record) if erased.record else None,
        })  # fmt: skip
        return
    removed = ", ".join(f"{n} {what}" for what, n in sorted(plan.removed.items())) or "nothing"
    out.print(f"Erased: {removed}.", highlight=False, soft_wrap=True)
    n_found = sum(hit.count for hit in found.hits)
    shared = (
        f" ({plan.identifiers.n_shared} more are others', too, and were not searched for)"
        if plan.identifiers.n_shared else ""
    )  # fmt: skip
    out.print(
        f"Searched {counted(found.n_files, 'file')}, {found.n_bytes} bytes, {found.n_identifiers} "
        f"identifiers{shared}: {n_found} found.",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    for one in _where(found, storage)[:_SHOWN]:
        out.print(styled("[bold red]{}[/]  {}", one["file"], one["what"]), soft_wrap=True)
    _print_elsewhere(plan.elsewhere, REMAINS)
    if erased.record is not None:
        out.print(f"\nRecord: {erased.record}", highlight=False, soft_wrap=True)
    else:
        out.print("\nNot complete: repeat the command when what is named above is settled.")


def _where(found: "SearchReport", storage: Path) -> list[dict[str, str]]:
    """Where something was found, or a file could not be searched."""

    def shown(path: Path) -> str:
        return str(path.relative_to(storage) if path.is_relative_to(storage) else path)

    hits = [{"file": shown(h.path), "what": ", ".join(h.kinds)} for h in found.hits]
    return [*hits, *({"file": shown(p), "what": "cannot be searched"} for p in found.unread)]
