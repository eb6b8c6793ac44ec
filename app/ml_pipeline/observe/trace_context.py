"""Which trace a request is part of: the header `traceparent` of W3C Trace Context.

Source: https://www.w3.org/TR/trace-context/#traceparent-header. What it says of the future is kept
to: a version that is not known yet is read as far as it is like version 00.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

_well_formed = re.compile(
    rb"(?!ff|00.{54})"  # ff is no version; in version 00 nothing follows the flags
    rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
    rb"(?:-.*)?",
    re.DOTALL,
).fullmatch


class TraceParent(NamedTuple):
    """Where a caller's trace goes on.

    Attributes:
        trace_id: 32 hexadecimal digits, not all of them zero.
        span_id: Of the caller's span: 16, likewise.
        sampled: Whether the caller records it.
    """

    trace_id: str
    span_id: str
    sampled: bool


def find_trace_parent(headers: Iterable[tuple[bytes, bytes]]) -> TraceParent | None:
    """Read it from a request's headers, names in lower case; None without one that is well-formed.

    Of several none counts: nobody could tell which.
    """
    values = [value for name, value in headers if name == b"traceparent"]
    if len(values) != 1 or (found := _well_formed(values[0])) is None:
        return None
    trace_id, span_id, flags = found.groups()
    return TraceParent(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & 1))
