"""A server whose only session is busy, so that other requests wait."""

from concurrent.futures import Future, ThreadPoolExecutor

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.server import Server, wait_until

BUSY = 100_000
"""A row that keeps the session busy for about half a second; `models.loop_model` says how."""


class Occupied:
    """A server whose only session runs a long request, with short ones waiting behind it."""

    def __init__(self, server: Server, threads: ThreadPoolExecutor, steps: int = BUSY) -> None:
        self._server = server
        self._threads = threads
        self.running = threads.submit(self.ask, steps)
        wait_until(lambda: self.ask(1, **{"X-Request-Timeout-Ms": "20"}).status_code == 504)

    def ask(self, steps: int, **headers: str) -> httpx.Response:
        """Send one request, which takes so many steps."""
        body = {"data": [[steps]], "use_cache": False}
        return self._server.client.post("/predict", json=body, headers=headers)

    def fill(self, num_waiting: int) -> list[Future[httpx.Response]]:
        """Let short requests wait."""
        waiting = [self._threads.submit(self.ask, 1) for _ in range(num_waiting)]
        wait_until(lambda: self._queue_depth() == num_waiting)
        return waiting

    def _queue_depth(self) -> float:
        families = text_string_to_metric_families(self._server.client.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples]
        return sum(s.value for s in samples if s.name == "ml_api_queue_depth_rows")
