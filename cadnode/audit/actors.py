"""Who acts where nobody has logged in: the node itself, and the user who runs a command."""

import getpass
import os

from cadnode.audit.event import Actor, ActorKind


def user_name() -> str:
    """The operating system's name of the user who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        return f"uid {os.getuid()}"


def this_user() -> Actor:
    """The user who runs a command of the console."""
    return Actor(ActorKind.COMMAND, user_name())


def this_node(role: str) -> Actor:
    """The node by itself, in one of its roles."""
    return Actor(ActorKind.NODE, role)
