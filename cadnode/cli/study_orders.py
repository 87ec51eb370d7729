"""Orders for studies on the console: for which, carried out one by one, and what is said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import typer

from cadnode.cli.acts import acting
from cadnode.cli.command import err, out, print_json
from cadnode.cli.node_place import LOOK_S, NodePlace
from cadnode.errors import SettingsError
from cadnode.terminal import styled

if TYPE_CHECKING:
    from cadnode.audit.event import Action
    from cadnode.web.deliveries import Ordered
    from cadnode.web.queue import StudyFilter

AT_ONCE = 500  # studies, read from the list


@dataclass(frozen=True, slots=True)
class StudyOrder:
    """What is done to each study, as the trail calls it, with its detail, and what is said of it.

    `alone` is said where no delivery is concerned; `forgets`: then what failed is forgotten.
    """

    action: "Action"
    carry_out: "Callable[[str, str], Ordered]"
    done: str
    alone: str = "nothing is undelivered"
    forgets: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Which studies are meant by --all: those that need somebody, or `of_any` state."""

    everything: bool = False
    destination: str = ""
    state: str = ""
    since: str = ""
    until: str = ""
    of_any: bool = False

    def filter(self) -> "StudyFilter":
        """The same for the list. Raises `SettingsError`."""
        from cadnode.web.queue import FilterWrong, filter_of

        words = ("destination", "state", "since", "until")
        try:
            found = filter_of({name: getattr(self, name) for name in words}, AT_ONCE)
        except FilterWrong as wrong:
            raise SettingsError(str(wrong)) from None
        if self.of_any and not found.is_narrowed:
            raise SettingsError("--all would be every study: say --state, --since or --until, too")
        return replace(found, needs_you=not self.of_any)


def chosen_of(
    place: NodePlace,
    named: Sequence[str] | None,
    to: str,
    *,
    all_refused: bool = False,
    narrowed: Narrowed | None = None,
) -> list[tuple[str, str]]:
    """(study, destination) of what is named, of every refused result, or of all that are meant."""
    from cadnode.web.deliveries import DeliveryFilter
    from cadnode.web.study import key_of

    narrowed = narrowed or Narrowed()
    if bool(named) + all_refused + narrowed.everything != 1:
        raise SettingsError("name studies, or --all, or --all-refused where there is one: one way")
    if not narrowed.everything and (narrowed.state or narrowed.since or narrowed.until):
        raise SettingsError("--state, --since and --until narrow --all")
    if named:
        return [(key, to) for key in dict.fromkeys(map(key_of, named))]
    if narrowed.everything:
        return [(key, to) for key in _listed(place, narrowed.filter())]
    found = place.desk.listed(DeliveryFilter(destination=to))
    return [(one.study, one.destination) for one in found if one.state in ("refused", "given_up")]


def _listed(place: NodePlace, wanted: "StudyFilter") -> list[str]:
    """Keys of the studies that the filter lets pass, part by part."""
    if not place.queue.refresh(LOOK_S):
        err.print("Not every study could be looked at: ask again, or start the node.")
    keys: list[str] = []
    while True:
        page = place.queue.page(wanted)
        keys += [row.study.key for row in page.rows]
        if not page.after:
            return keys
        wanted = replace(wanted, after=page.after)


def carry_out(
    place: NodePlace,
    chosen: Sequence[tuple[str, str]],
    order: StudyOrder,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Carry out an order for each study; what fails for one is said, and the others go on."""
    from cadnode.web.deliveries import DeliveryFilter, OrderRefused

    results: list[dict[str, Any]] = []
    n_refused, is_running = 0, True
    for key, to in chosen:
        if dry_run:
            rows = place.desk.listed(DeliveryFilter(study=key, destination=to))
            results.append({"study": key, "deliveries": [one.as_dict() for one in rows]})
            continue
        try:
            with acting(place.values, order.action, order.detail, study=key, peer=to):
                ordered = order.carry_out(key, to)
        except OrderRefused as error:
            n_refused += 1
            results.append({"study": key, "error": error.error, "hint": error.hint})
            continue
        is_running = ordered.is_running
        results.append({"study": key, **ordered.as_dict()})
    if as_json:
        print_json({"dry_run": dry_run, "count": len(results), "studies": results})
    else:
        _print(results, order, dry_run=dry_run)
        if not is_running:
            out.print("The node is stopped: this is carried out when it starts.")
    if n_refused:
        raise typer.Exit(2)


def _print(results: Sequence[dict[str, Any]], order: StudyOrder, *, dry_run: bool) -> None:
    for one in results:
        if "error" in one:
            err.print(styled("[red]✗[/] {}: {}; {}", one["study"], one["error"], one["hint"]),
                      soft_wrap=True)  # fmt: skip
            continue
        words = _said_of(one, order, dry_run=dry_run)
        out.print(styled("{}  {}", one["study"], words), soft_wrap=True)
    if not results:
        out.print("Nothing is undelivered.")


def _said_of(one: dict[str, Any], order: StudyOrder, *, dry_run: bool) -> str:
    names = ", ".join(d["destination"] for d in one["deliveries"])
    if names:
        return f"{'would be ' if dry_run else ''}{order.done}: {names}"
    if dry_run:
        return f"would be ordered; then {order.alone}"
    is_more = one["reading"] or one["fetching"] or order.forgets
    return order.alone if is_more else "nothing is undelivered"
