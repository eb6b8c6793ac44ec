"""The header `traceparent`, as W3C Trace Context has it."""

import pytest

from app.trace_context import TraceParent, find_trace_parent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
USUAL = f"00-{TRACE}-{SPAN}-01"


def read(*values: str, name: bytes = b"traceparent") -> TraceParent | None:
    """Read a request with so many of the header, between others."""
    ours = [(name, value.encode("latin-1")) for value in values]
    return find_trace_parent([(b"host", b"x"), *ours, (b"accept", b"*/*")])


def test_ids_and_flag_are_read() -> None:
    """Version 00 gives the trace, the caller's span and whether it is recorded."""
    assert read(USUAL) == TraceParent(TRACE, SPAN, True)


@pytest.mark.parametrize(
    ("flags", "sampled"),
    [("00", False), ("01", True), ("02", False), ("03", True), ("fe", False), ("ff", True)],
)
def test_only_the_last_bit_says_sampled(flags: str, sampled: bool) -> None:
    """Bits of the flags that are not known are no reason to refuse, and say nothing."""
    found = read(f"00-{TRACE}-{SPAN}-{flags}")

    assert found is not None
    assert found.sampled is sampled


@pytest.mark.parametrize(
    "value",
    [
        f"01-{TRACE}-{SPAN}-01",
        f"fe-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
        f"cc-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01-\xe4",
    ],
)
def test_later_versions_are_read_as_far_as_they_are_known(value: str) -> None:
    """A version that is not known yet may go on behind the flags, after a hyphen."""
    assert read(value) == TraceParent(TRACE, SPAN, True)


MALFORMED = {
    "empty": "",
    "a word": "none",
    "version ff": f"ff-{TRACE}-{SPAN}-01",
    "a version of one digit": f"0-{TRACE}-{SPAN}-01",
    "a version that is no number": f"0g-{TRACE}-{SPAN}-01",
    "more behind version 00": USUAL + "-extra",
    "a hyphen behind version 00": USUAL + "-",
    "more digits behind version 00": USUAL + "1",
    "more digits behind a later version": f"cc-{TRACE}-{SPAN}-012",
    "a dot behind a later version": f"cc-{TRACE}-{SPAN}-01.what",
    "a trace of zeros": f"00-{'0' * 32}-{SPAN}-01",
    "a span of zeros": f"00-{TRACE}-{'0' * 16}-01",
    "capitals": USUAL.upper(),
    "one capital": f"00-{TRACE[:-1]}A-{SPAN}-01",
    "a trace that is short": f"00-{TRACE[1:]}-{SPAN}-01",
    "a trace that is long": f"00-{TRACE}0-{SPAN}-01",
    "a span that is short": f"00-{TRACE}-{SPAN[1:]}-01",
    "no flags": f"00-{TRACE}-{SPAN}",
    "empty flags": f"00-{TRACE}-{SPAN}-",
    "flags of one digit": f"00-{TRACE}-{SPAN}-1",
    "flags that are no number": f"00-{TRACE}-{SPAN}-0x",
    "underscores": USUAL.replace("-", "_"),
    "a line break": USUAL + "\n",
    "a space before": " " + USUAL,
    "other digits": f"00-{TRACE[:-1]}\xb2-{SPAN}-01",
    "two in one": f"{USUAL},{USUAL}",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_malformed_is_ignored(kind: str) -> None:
    """Anything else is as if it were not there."""
    assert read(MALFORMED[kind]) is None


def test_of_several_none_counts() -> None:
    """A request with two of them has none, be they equal or not."""
    assert read(USUAL, USUAL) is None
    assert read(USUAL, f"00-{TRACE[::-1]}-{SPAN}-01") is None


def test_without_the_header_there_is_none() -> None:
    """Other headers are not looked at."""
    assert read() is None
    assert read(USUAL, name=b"tracestate") is None
