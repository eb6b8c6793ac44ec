"""A collector of OpenTelemetry: takes what is sent to it over HTTP, and shows it to a test."""

import gzip
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.http_service import HttpService, QuietHandler


class ReceivedSpan(NamedTuple):
    """One span, decoded. Times are nanoseconds since 1970, ids hexadecimal; no parent is empty."""

    name: str
    kind: int
    status: int
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    start: int
    end: int
    attributes: dict[str, Any]
    events: list[tuple[str, int, dict[str, Any]]]
    resource: dict[str, Any]

    @property
    def request_id(self) -> str:
        """Of the request."""
        return str(self.attributes["ml_pipeline.request_id"])


class Collector(HttpService):
    """Listens from the start of a `with` block to its end.

    Attributes:
        url: For OTEL_EXPORTER_OTLP_ENDPOINT.
        paths: That were asked for, with their headers; names in lower case.
    """

    def __init__(self) -> None:
        self.paths: list[tuple[str, dict[str, str]]] = []
        self._spans: list[ReceivedSpan] = []
        collector = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.read_body()
                headers = {name.lower(): value for name, value in self.headers.items()}
                collector.take(self.path, headers, body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.reply(200, answer, Content_Type="application/x-protobuf")

        super().__init__(Handler)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Decode one request; called by its own threads."""
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.paths.append((path, headers))
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _attributes(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self._spans += [_read(span, resource) for span in of_scope.spans]

    def spans(self, request_id: str = "") -> list[ReceivedSpan]:
        """Give what has come so far, in the order of time: all, or those of a request."""
        found = [each for each in self._spans if request_id in ("", each.request_id)]
        return sorted(found, key=lambda span: span.start)


def _read(span: Any, resource: dict[str, Any]) -> ReceivedSpan:
    events = [(e.name, e.time_unix_nano, _attributes(e.attributes)) for e in span.events]
    return ReceivedSpan(
        span.name,
        span.kind,
        span.status.code,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _attributes(span.attributes),
        events,
        resource,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
