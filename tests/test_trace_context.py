"""The header `traceparent`, as W3C Trace Context has it."""

import pytest

from ml_pipeline.observe.trace_context import TraceParent, find_trace_parent
from tests.trace_parents import LATER, MALFORMED, SPAN, TRACE, USUAL


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


@pytest.mark.parametrize("value", LATER)
def test_later_versions_are_read_as_far_as_they_are_known(value: str) -> None:
    """A version that is not known yet may go on behind the flags, after a hyphen."""
    assert read(value) == TraceParent(TRACE, SPAN, True)


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
