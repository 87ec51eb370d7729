"""codecs/decoder.py: what a stream does to the decoding process costs that image, nothing else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from cadnode.codecs import decoder as decoder_module
from cadnode.codecs.decoder import Decoder
from cadnode.codecs.frame import Frame
from cadnode.domain import SkipReason
from cadnode.errors import DecoderUnavailable, NotProcessable

JPEG_LS = "1.2.840.10008.1.2.4.80"
STUB = """
import os, signal, sys
import numpy as np
from cadnode.codecs.child import serve
count = 0
def decode(stream, frame):
    global count
    count += 1
    {body}
    return np.full((frame.rows, frame.columns), 7, np.uint16)
serve(*map(int, sys.argv[1:4]), decode=decode)
"""


def stub(body: str) -> tuple[str, str]:
    """A decoding process that does `body` before it answers."""
    return "-c", STUB.format(body=body)


def frame(stream: bytes = b"x", rows: int = 8, columns: int = 6) -> Frame:
    return Frame(JPEG_LS, rows, columns, 16, 16, False, len(stream))


@pytest.fixture
def made() -> Iterator[list[Decoder]]:
    """Decoders to close."""
    decoders: list[Decoder] = []
    yield decoders
    for one in decoders:
        one.close()


@pytest.mark.parametrize(
    "body",
    [
        "os.kill(os.getpid(), signal.SIGSEGV)",
        "os.abort()",
        "os._exit(0)",
        "np.ones(100 << 30, np.uint8)",
        "raise MemoryError",
        "return np.zeros((3, 3), np.uint16)",
        "return np.zeros((frame.rows, frame.columns), np.float64)",
    ],
)
def test_what_a_stream_does_to_the_process_is_its_coded_reason(
    made: list[Decoder], body: str
) -> None:
    made.append(Decoder(stub(body)))
    with pytest.raises(NotProcessable) as caught:
        made[0].decode(b"x", frame())
    assert caught.value.reason is SkipReason.PIXELS_CORRUPT


def test_a_codec_that_does_not_come_back_is_ended(made: list[Decoder]) -> None:
    made.append(Decoder(stub("while True: pass"), wall_times_cpu=0.02))
    with pytest.raises(NotProcessable) as caught:
        made[0].decode(b"x", frame())
    assert caught.value.reason is SkipReason.PIXELS_CORRUPT
    assert not made[0]._all


def test_what_an_earlier_stream_left_behind_is_not_the_next_ones_fault(
    made: list[Decoder],
) -> None:
    made.append(Decoder(stub("if count == 2: os.kill(os.getpid(), signal.SIGSEGV)")))
    for _ in range(3):
        assert (made[0].decode(b"x", frame()) == 7).all()


def test_a_process_that_somebody_else_kills_is_not_the_images_fault(made: list[Decoder]) -> None:
    made.append(Decoder(stub("os.kill(os.getpid(), signal.SIGKILL)")))
    with pytest.raises(DecoderUnavailable):
        made[0].decode(b"x", frame())


def test_a_process_that_cannot_be_started_is_not_the_images_fault(
    made: list[Decoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    made.append(Decoder(("-c", "raise SystemExit(1)")))
    with pytest.raises(DecoderUnavailable):
        made[0].decode(b"x", frame())

    def no_memory(*_: object, **__: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(decoder_module.subprocess, "Popen", no_memory)
    with pytest.raises(DecoderUnavailable):
        made[0].decode(b"x", frame())


def test_a_signal_to_the_whole_group_does_not_spoil_the_image(made: list[Decoder]) -> None:
    made.append(Decoder(stub("[os.kill(os.getpid(), s) for s in (1, 2, 15)]")))
    assert (made[0].decode(b"x", frame()) == 7).all()


def test_a_process_is_used_again_and_replaced_in_the_end(
    made: list[Decoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_module, "FRAMES", 2)
    made.append(Decoder(stub("return np.full((frame.rows, frame.columns), os.getpid() % 65536)"
                             ".astype(np.uint16)")))  # fmt: skip
    pids = [int(made[0].decode(b"x", frame())[0, 0]) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_real_streams_come_back_bit_by_bit_in_any_order_of_sizes(made: list[Decoder]) -> None:
    made.append(Decoder())
    for rows, columns, dtype in ((40, 30, np.uint8), (400, 300, np.uint16), (8, 9, np.uint16)):
        cells = np.random.default_rng(rows).integers(0, 255, (rows, columns)).astype(dtype)
        stream = imagecodecs.jpegls_encode(cells)
        got = made[0].decode(stream, frame(stream, rows, columns))
        np.testing.assert_array_equal(got, cells)
        assert got.dtype == dtype
        assert got.flags.owndata or got.base is not None


def test_the_process_imports_no_more_than_decoding_needs() -> None:
    code = (
        "import cadnode.codecs.child, sys; "
        "print([m for m in ('torch', 'pydicom', 'cadnode.exam', 'structlog', 'requests', 'scipy')"
        " if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_process_sees_none_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CADNODE_JOBS__DATABASE_URL", "postgresql://u:secret@h/d")
    assert "secret" not in str(decoder_module._environment())


def test_the_process_dies_with_its_parent_even_within_a_codec(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    body = f"open({str(pid_file)!r}, 'w').close(); exec('while True: pass')"
    # The limit of file sizes lets it make an empty file: its name tells that it decodes.
    code = (
        "import threading, time, os, sys\n"
        "from cadnode.codecs.decoder import Decoder\n"
        "from cadnode.codecs.frame import Frame\n"
        f"d = Decoder({stub(body)!r})\n"
        f"f = Frame({JPEG_LS!r}, 8, 6, 16, 16, False, 1)\n"
        "threading.Thread(target=d.decode, args=(b'x', f), daemon=True).start()\n"
        f"while not os.path.exists({str(pid_file)!r}): time.sleep(0.01)\n"
        "(one,) = d._all\n"
        "print(one._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 20
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _runs(pid)


def test_a_forked_process_starts_a_decoding_process_of_its_own(made: list[Decoder]) -> None:
    code = (
        "import os, sys, imagecodecs, numpy as np\n"
        "from cadnode.codecs.decoder import decode_frame\n"
        "from cadnode.codecs.frame import Frame\n"
        "cells = np.arange(48, dtype=np.uint8).reshape(8, 6)\n"
        "s = imagecodecs.jpegls_encode(cells)\n"
        f"f = Frame({JPEG_LS!r}, 8, 6, 8, 8, False, len(s))\n"
        "assert (decode_frame(s, f) == cells).all()\n"
        "pid = os.fork()\n"
        "ok = all((decode_frame(s, f) == cells).all() for _ in range(3))\n"
        "if pid == 0: sys.exit(0 if ok else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) or not ok)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and os.path.exists(f"/proc/{pid}")


def test_a_node_under_limits_of_its_own_decodes_within_them() -> None:
    """As systemd's LimitAS and LimitNOFILE, or `ulimit`, set them: no limit can be raised then."""
    code = (
        "import resource, numpy, imagecodecs; from cadnode.codecs.decoder import decode_frame; "
        "from cadnode.codecs.frame import Frame; "
        "resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30)); "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60)); "
        "resource.setrlimit(resource.RLIMIT_CPU, (15, 15)); "
        "cells = numpy.full((8, 6), 9, numpy.uint16); s = imagecodecs.jpegls_encode(cells); "
        f"print(decode_frame(s, Frame({JPEG_LS!r}, 8, 6, 16, 16, False, len(s))).sum())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.stdout.strip() == str(8 * 6 * 9), said.stderr
