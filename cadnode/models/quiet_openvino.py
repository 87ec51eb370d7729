"""OpenVINO without its telemetry: everybody here gets the library from this place.

`import openvino` alone sends an event to its makers' statistics, with a number that it keeps in the
home folder (`openvino.tools.ovc`, `~/intel/openvino_ga_cid`). A node asks nobody and tells nobody
whom its settings do not name. The package that does the sending is withheld; OpenVINO has a stub
for where it is not installed.
"""

import sys
from typing import Any

_SENDER = "openvino_telemetry"


def openvino() -> Any:
    """The module `openvino`, imported so that nothing is sent; its parts may be imported then.

    Raises
    ------
    ImportError
        It is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules[_SENDER] = None  # type: ignore[assignment]
    import openvino as library

    return library
