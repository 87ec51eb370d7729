"""When a source is asked for compressed answers."""

from cadnode.receive.fetch.compression import Line

FILM = 27_000_000


def test_a_fast_line_is_never_asked_for_compression() -> None:
    line = Line()
    for _ in range(3):
        assert line.encoding() == "identity"
        line.note("identity", FILM, 0.25)  # 1 Gbit/s


def test_a_slow_line_is_tried_with_compression_and_keeps_it_where_it_is_faster() -> None:
    line = Line()
    line.note("identity", FILM, 2.2)  # 100 Mbit/s
    assert line.encoding() == "gzip"
    line.note("gzip", FILM, 1.2)
    assert line.encoding() == "gzip"


def test_compression_that_does_not_help_is_left_again() -> None:
    line = Line()
    line.note("identity", FILM, 2.2)
    line.note("gzip", FILM, 2.6)  # JPEG 2000 inside: nothing to gain
    assert line.encoding() == "identity"


def test_small_instances_tell_nothing_of_a_line() -> None:
    line = Line()
    line.note("identity", 20_000, 0.5)
    assert line.encoding() == "identity"
