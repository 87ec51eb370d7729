"""The port of the web role, listened on before the libraries behind it are imported.

A client that connects in the seconds of the start waits for its answer instead of being refused.
"""

import errno
import socket
import time
from collections.abc import Callable

from cadnode.log import get_logger
from cadnode.node import heartbeat, retry
from cadnode.node.heartbeat import Pulse
from cadnode.settings import WebSection

log = get_logger("web")


def listened(web: WebSection) -> socket.socket:
    """The listening socket. Raises `OSError`: the port is taken, or the address is not ours."""
    family = socket.getaddrinfo(web.host, web.port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((web.host, web.port), family=family, backlog=128)


def listened_at_once(web: WebSection) -> socket.socket | None:
    """The listening socket; None where it cannot be had now."""
    try:
        return listened(web)
    except OSError:
        return None


def listened_in_time(
    web: WebSection, stopping: Callable[[], bool], pulse: Pulse
) -> socket.socket | None:
    """The listening socket, tried for again and again; None once the role is to stop."""
    reported, pause_s = False, retry.WEB_PORT.first_pause_s
    while not stopping():
        try:
            return listened(web)
        except OSError as error:
            if not reported:
                taken = error.errno == errno.EADDRINUSE
                reason = "port_taken" if taken else errno.errorcode.get(error.errno or 0, "address")
                pulse.say(heartbeat.WAITING, f"port {web.port} cannot be listened on ({reason})")
                log.error("web_cannot_listen", port=web.port, reason=reason, seconds=pause_s)
                reported = True
        deadline = time.monotonic() + pause_s
        while time.monotonic() < deadline and not stopping():
            time.sleep(0.1)
    return None
