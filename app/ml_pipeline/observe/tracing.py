"""Traces: each request becomes a span for an OpenTelemetry collector, made when it is answered.

Imported where there is an `OTEL_EXPORTER_OTLP_ENDPOINT` and nowhere else: the SDK takes 130 ms and
9 MB. How spans are sampled, gathered and sent is what its own variables say (`OTEL_TRACES_SAMPLER`,
`OTEL_BSP_…`, `OTEL_EXPORTER_OTLP_…`, `OTEL_RESOURCE_ATTRIBUTES`).

Where the time went are events of the span, not spans below it, which would cost nearly twice the
CPU to make and to send. Attributes are named by the semantic conventions for HTTP; what those do
not know begins with `ml_pipeline.`.
"""

import asyncio
import logging
from threading import Thread, Timer
from time import monotonic, time_ns
from typing import Protocol

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from ml_pipeline import __version__
from ml_pipeline.fronts.http.message import HeaderList, Request
from ml_pipeline.log import cut, get_logger
from ml_pipeline.observe.collector import METHODS
from ml_pipeline.observe.trace_context import find_trace_parent
from ml_pipeline.protocols.base import Call
from ml_pipeline.protocols.timings import Timings, describe, phases

UNTRACED = frozenset(
    {
        *("/health", "/health/live", "/health/ready", "/metrics"),
        *("/v2/health/live", "/v2/health/ready"),
    }
)
"""Asked every few seconds by what watches the server."""

FLUSH_SECONDS = 3.0
"""Longest that an end waits for the collector; the SDK would go on trying for 10 s."""

QUIET_SECONDS = 60.0
"""Between two lines about a collector that cannot be reached."""


class Traced(Protocol):
    """What a span is made of."""

    @property
    def request(self) -> Request:
        """As it was sent."""
        ...

    @property
    def request_id(self) -> str:
        """Under which it was answered."""
        ...

    @property
    def call(self) -> Call | None:
        """What it asks of a model; None if that is not a prediction."""
        ...

    @property
    def timings(self) -> Timings:
        """Of a prediction."""
        ...


class Tracing:
    """Makes spans and sends them, from a thread of the SDK's.

    Args:
        replica: A name that no other replica has.

    Raises:
        ValueError: One of the SDK's variables cannot be used.
    """

    def __init__(self, replica: str) -> None:
        _listen_to_sdk()
        ours = Resource.create(
            {
                "service.name": "ml-pipeline",
                "service.version": __version__,
                "service.instance.id": replica,
            }
        )
        self._provider = TracerProvider(
            resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("ml-pipeline", __version__)

    def record(self, traced: Traced, endpoint: str, status: int) -> None:
        """Make the span of a request that has just been answered; event loop only.

        Args:
            traced: The request, and what became of it.
            endpoint: Template of the route; what does not begin with a slash is none.
            status: Of the answer.
        """
        request, call, timings = traced.request, traced.call, traced.timings
        if request.path in UNTRACED:
            return
        now, seconds = time_ns(), monotonic() - request.started
        reading_seconds = seconds - (monotonic() - timings.arrived)
        began = now - int(seconds * 1e9)
        method = request.method if request.method in METHODS else "_OTHER"
        route = endpoint if endpoint.startswith("/") else ""
        span = self._tracer.start_span(
            f"{'HTTP' if method == '_OTHER' else method} {route}".rstrip(),
            _context(request.headers),
            SpanKind.SERVER,
            # What samplers look at.
            {"http.request.method": method, "url.path": cut(request.path)},
            start_time=began,
        )
        if span.is_recording():
            span.set_attributes(_attributes(traced, method, route, status))
            if call is not None:
                span.set_attributes(
                    {f"ml_pipeline.{name}": told for name, told in describe(call, timings).items()}
                )
                _add_phases(span, timings, began + int(reading_seconds * 1e9))
            if status >= 500:
                span.set_status(StatusCode.ERROR)
        span.end(now)

    async def aclose(self, timeout_seconds: float) -> None:
        """Send what is left; what takes longer is lost.

        The thread that waits for the SDK is nobody's to join: it may wait for 30 s.
        """
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            try:
                loop.call_soon_threadsafe(sent.set)
            except RuntimeError:  # the loop is closed: too late
                pass

        Thread(target=shut_down, name="tracing-shutdown", daemon=True).start()
        try:
            async with asyncio.timeout(min(timeout_seconds, FLUSH_SECONDS)):
                await sent.wait()
        except TimeoutError:
            get_logger().warning("tracing_failed", reason="the last spans could not be sent")


def _context(headers: HeaderList) -> Context:
    """Go on where the caller's trace is; a new one where there is none."""
    parent = find_trace_parent(headers)
    if parent is None:
        return Context()
    states = [value.decode("latin-1") for name, value in headers if name == b"tracestate"]
    context = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header(states),
    )
    return set_span_in_context(NonRecordingSpan(context), Context())


def _attributes(traced: Traced, method: str, route: str, status: int) -> dict[str, str | int]:
    found: dict[str, str | int] = {
        "url.scheme": "http",
        "http.response.status_code": status,
        "ml_pipeline.request_id": traced.request_id,
    }
    if method == "_OTHER":
        found["http.request.method_original"] = traced.request.method
    if route:
        found["http.route"] = route
    if status >= 500:
        found["error.type"] = str(status)
    return found


def _add_phases(span: Span, timings: Timings, started: int) -> None:
    """Tell where the time of a prediction went: each phase as an event where it began.

    Args:
        span: Of its request.
        timings: Of what is finished.
        started: When its body was there; nanoseconds since 1970.
    """
    for name, seconds in phases(timings).items():
        if seconds:
            span.add_event(name, {"seconds": seconds}, started)
            started += int(seconds * 1e9)


def _listen_to_sdk() -> None:
    """Let the SDK's complaints be lines of our log, and keep its other lines away from it."""
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    logging.getLogger("opentelemetry").propagate = False
    complaints = _Complaints(logging.WARNING)
    for logger in complaints.loggers:
        logger.addHandler(complaints)


class _Complaints(logging.Handler):
    """Writes one line, and is deaf for a minute: the SDK complains of each span it drops.

    Deaf by way of the loggers' level, at which a complaint costs next to nothing. Any thread.
    """

    loggers = tuple(logging.getLogger(f"opentelemetry.{name}") for name in ("sdk", "exporter"))
    _deaf = False

    def emit(self, record: logging.LogRecord) -> None:
        if self._deaf:
            return
        self._set(True)
        get_logger().warning("tracing_failed", reason=record.getMessage())
        timer = Timer(QUIET_SECONDS, self._set, [False])
        timer.daemon = True
        timer.start()

    def _set(self, deaf: bool) -> None:
        self._deaf = deaf
        for logger in self.loggers:
            logger.setLevel(logging.CRITICAL if deaf else logging.NOTSET)
