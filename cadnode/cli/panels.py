"""In which order, and under which headings, `cadnode --help` shows the commands."""

from typing import Any, Final

from typer.core import TyperGroup

PANELS: Final = {
    "First steps": ("demo", "check", "serve", "read"),
    "Day by day": (
        "studies",
        "deliveries",
        "storage",
        "quality",
        "outcomes",
        "log",
        "audit",
        "patients",
    ),
    "Set up": ("settings", "users", "orthanc", "send", "service", "tls", "backup"),
    "Models": ("models", "calibrate", "compare"),
    "Train and measure": ("data", "train", "evaluate", "report", "phantom"),
}
"""Headings, and the commands below each; what is in none comes last, below typer's own."""
_PANEL_OF: Final = {name: panel for panel, names in PANELS.items() for name in names}


class OrderedGroup(TyperGroup):
    """The root of the commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, those of `PANELS` first."""
        names = super().list_commands(ctx)
        return [*(n for n in _PANEL_OF if n in names), *(n for n in names if n not in _PANEL_OF)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command with its heading; None where there is none of that name."""
        found: Any = super().get_command(ctx, cmd_name)
        if found is not None and cmd_name in _PANEL_OF:
            found.rich_help_panel = _PANEL_OF[cmd_name]
        return found
