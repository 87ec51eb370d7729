"""`cadnode models`: which models the node has, which are active, and whether they are whole."""

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cadnode import settings
from cadnode.cli.acts import AuditedAct, changing_models
from cadnode.cli.age_prior import age_prior
from cadnode.cli.command import AsJson, ConfigFile, FailureReason, command, err, out, print_json
from cadnode.cli.export import export
from cadnode.cli.model_history import history, remove
from cadnode.cli.model_import import import_network
from cadnode.cli.model_signing import keygen, sign, trust_app
from cadnode.cli.recalibrate import recalibrate
from cadnode.cli.shadow import shadow_app

if TYPE_CHECKING:
    from cadnode.registry.history import ChangeAuthor
    from cadnode.registry.installation import Added

models_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Models: see what is installed, add your own, switch versions, go back.",
)

models_app.add_typer(shadow_app, name="shadow")
models_app.add_typer(trust_app, name="trust")
models_app.command()(export)
models_app.command("import")(import_network)
models_app.command()(keygen)
models_app.command()(sign)

Spec = Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="a model, as `list` names it")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="a model, as `list` names it")]
_DAMAGED = 4  # the exit code of a ModelError
_LATER = "A running node reads with it from the next study on."


models_app.command("history")(history)
models_app.command("remove")(remove)
models_app.command("recalibrate")(recalibrate)
models_app.command("age-prior")(age_prior)


@models_app.command("list")
@command
def list_models(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Every model, which version is active, and which systems that makes up."""
    from cadnode.cli import model_output as views
    from cadnode.node import model_overview

    overview = model_overview.overview(settings.load(config))
    if as_json:
        print_json(views.overview_json(overview))
    else:
        views.print_overview(out, overview)


@models_app.command()
@command
def show(spec: Spec, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """A model's card: use, data, measured performance, operating points, limits, history.

    Without a version the active one is shown: [bold]cadnode models show dib-mg-film@1.1.0[/]
    """
    from cadnode.cli import model_output as views
    from cadnode.node import model_overview
    from cadnode.registry.catalogue import parse

    row, changes = model_overview.show(settings.load(config), *parse(spec))
    if as_json:
        print_json(views.card_json(row, changes))
    else:
        views.print_card(out, row, changes)


@models_app.command()
@command
def add(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="folder or zip file with one or more models, as training writes it"
        ),
    ],
    activate: Annotated[
        bool, typer.Option("--activate", help="read with it also when its name is there already")
    ] = False,
    version: Annotated[
        str | None,
        typer.Option(
            metavar="X.Y.Z",
            help="add it as this version; default: its card's, or the next one that is free",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="look at it, change nothing")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Put a model into the node's store, after a look whether it is whole and works.

    First of all its signature, where it has one: it must be by a trusted key and of these very
    files. Then the card, the checksum, format, shapes and values of the weights, and the
    model's answer to a synthetic image. Nothing is unpickled. A model of a new name is active
    from then on; a further version of a name is active only with --activate. Where another model
    has its version it gets the next one that is free, such as 1.1.1 after 1.1.0, in its card too.
    """
    from cadnode.cli.model_output import signed_json
    from cadnode.node import model_overview
    from cadnode.registry import installation
    from cadnode.registry.numbering import COUNT_UP, chosen

    values = settings.load(config)
    recorded = nullcontext(AuditedAct("")) if dry_run else changing_models(values, "add")
    with recorded as act, err.status("examining …"):
        added = installation.add(
            path, model_overview.stores(values), _actor(), model_overview.examine,
            activate=activate, dry_run=dry_run,
            numbering=COUNT_UP if version is None else chosen(version),
        )  # fmt: skip
        act.what = " ".join(f"{a.card.name}@{a.card.version}" for a in added)
    if as_json:
        print_json(
            [
                {
                    "name": a.card.name,
                    "version": a.card.version,
                    "card_version": a.came_as,
                    "sha256": a.card.weights_sha256,
                    "was_there": a.there is not None,
                    "active_version": a.active,
                    "dry_run": dry_run,
                    "signed_by": signed_json(a.signed),
                }
                for a in added
            ]
        )
        return
    for a in added:
        message = _added(f"{a.card.name}@{a.card.version}", a, dry_run=dry_run)
        out.print(message, highlight=False, soft_wrap=True)


@models_app.command()
@command
def activate(
    spec: Spec,
    version: Annotated[
        str | None, typer.Argument(help="instead of @VERSION; without either: the newest")
    ] = None,
    reason: FailureReason = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Read with this version; a running node from its next study on.

    Example: [bold]cadnode models activate dib-mg-film@1.1.0[/]
    """
    from cadnode.node import model_overview
    from cadnode.registry import installation
    from cadnode.registry.catalogue import parse
    from cadnode.registry.history import grounds

    name, wanted = parse(spec)
    values, why = settings.load(config), grounds(reason)
    stores = model_overview.stores(values)
    with changing_models(values, "activate") as act:
        now = installation.activate(
            stores, name, version or wanted, _actor(), model_overview.examine, why
        )
        act.what = f"{name}@{now}"
    _print_active(name, now, as_json=as_json)


@models_app.command()
@command
def promote(
    spec: Spec,
    evidence: Annotated[
        Path, typer.Option(metavar="FILE", help="what `cadnode compare ACTIVE NEW --json` wrote")
    ],
    rule: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML; without it the default rule")
    ] = None,
    force: Annotated[
        str, typer.Option(metavar="REASON", help="against the rule; the history keeps the reason")
    ] = "",
    reason: FailureReason = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Activate a version only where a comparison with the active one meets your rule.

    A rule is a TOML file with least_auc, most_drop, most_drop_in_stratum, least_n, judged_by
    (estimate or interval), strata and data. Exit code 4: the rule does not allow it. The history
    keeps rule, evidence and reason: [bold]cadnode models history NAME[/]
    """
    from cadnode.node import model_overview
    from cadnode.registry import promotion

    values, limits = settings.load(config), promotion.read_rule(rule)
    stores = model_overview.stores(values)
    with changing_models(values, "promote") as act:
        done = promotion.promote(
            stores,
            spec,
            evidence,
            limits,
            _actor(),
            model_overview.examine,
            reason=reason,
            forced=force,
        )
        act.what, act.has_failed = f"{done.name}@{done.version}", not done.done
    if as_json:
        print_json(promotion.as_dict(done))
    else:
        for line in promotion.sentences(done):
            out.print(line, highlight=False, soft_wrap=True)
    if not done.done:
        raise typer.Exit(_DAMAGED)
    if not as_json:
        _print_active(done.name, done.version, as_json=False)


@models_app.command()
@command
def deactivate(
    name: Name, reason: FailureReason = "", config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Switch a model off; it stays installed."""
    from cadnode.node import model_overview
    from cadnode.registry import installation
    from cadnode.registry.history import grounds

    values = settings.load(config)
    stores = model_overview.stores(values)
    with changing_models(values, "deactivate") as act:
        installation.deactivate(stores, name, _actor(), grounds(reason))
        act.what = name
    _print_active(name, None, as_json=as_json)


@models_app.command()
@command
def rollback(
    name: Name, reason: FailureReason = "", config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Return to what was active before the last activate or deactivate; again: a step further."""
    from cadnode.node import model_overview
    from cadnode.registry import installation
    from cadnode.registry.history import grounds

    values = settings.load(config)
    stores = model_overview.stores(values)
    with changing_models(values, "rollback") as act:
        now = installation.rollback(stores, name, _actor(), model_overview.examine, grounds(reason))
        act.what = f"{name}@{now}" if now else name
    _print_active(name, now, as_json=as_json)


@models_app.command()
@command
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="only this model; default: all")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Examine every model anew: checksum, shapes, a dry run. Exit code 4 when one is damaged."""
    from cadnode.cli import model_output as views
    from cadnode.node import model_overview

    found = []
    with err.status("examining …") as status:
        for result in model_overview.verify(settings.load(config), name):
            found.append(result)
            status.update(f"{len(found)} examined …")
    if as_json:
        print_json([views.verified_json(result) for result in found])
    else:
        views.print_verified(out, found)
    if any(result.problem for result in found):
        raise typer.Exit(_DAMAGED)


def _actor() -> "ChangeAuthor":
    from cadnode.node import model_overview

    return model_overview.actor(datetime.now(UTC))


def _added(spec: str, added: "Added", *, dry_run: bool) -> str:
    """A sentence or two on one model that was handed over."""
    name = added.card.name
    if dry_run:
        verb = "is there already" if added.there else "would be added"
        message = f"{spec} is whole and works; it {verb}, with {added.active or 'none'} active."
        return f"{message} {_further(added)}".rstrip()
    message = f"{spec} was there already." if added.there else f"{spec} is added."
    message = f"{message} {_further(added)}".rstrip()
    if added.active == added.card.version:
        return f"{message} It is active. {_LATER}"
    still = f"{name}@{added.active} stays active" if added.active else f"{name} stays switched off"
    return f"{message} {still}; `cadnode models activate {spec}` switches."


def _further(added: "Added") -> str:
    """Whose it is, and a sentence where the version is not that of the card that came."""
    from cadnode.registry.trust import NOT_SIGNED

    whose = f"It is {added.signed.words if added.signed else NOT_SIGNED}."
    if not added.renumbered:
        return whose
    version = f"Its own card says {added.came_as}; here it is {added.card.version}"
    return f"{whose} {version}, in its card too."


def _print_active(name: str, version: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "active_version": version})
    elif version is None:
        out.print(f"{name} is switched off. A running node stops using it with its next study.")
    else:
        out.print(f"{name}@{version} is active. {_LATER}", highlight=False)
