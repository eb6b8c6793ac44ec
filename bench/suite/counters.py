"""What Prometheus has counted, held against what the clients have: nothing may be lost or made up.

Sums are over replicas. A count is read when it has not changed for two scrapes.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import msgspec

from bench.request import AnswerError, get

STATUSES = 'sum by (status) (ml_api_requests_total{endpoint=~"/predict.*"})'
STATES = "sum by (result) (ml_api_cache_requests_total)"
SCRAPE_SECONDS = 2.0
"""`scrape_interval` of the replicas in ops/prometheus/native.yml."""
MOST_SECONDS = 20.0


def read(prometheus_port: int) -> Counter[str]:
    """Return counts by `status 200` and `cache l1`, once they stand still.

    Raises:
        AnswerError: They do not, or Prometheus does not answer.
    """
    limit = time.monotonic() + MOST_SECONDS
    before = _counts(prometheus_port)
    while time.monotonic() < limit:
        time.sleep(1.5 * SCRAPE_SECONDS)  # so that at least one scrape lies between
        now = _counts(prometheus_port)
        if now == before and now:
            return now
        before = now
    raise AnswerError("Prometheus: the counts do not come to rest")


def differences(
    counted: Counter[str], sent: Counter[tuple[int, str]]
) -> dict[str, tuple[int, int]]:
    """Return what does not agree: (Prometheus, clients) by `status 200` and `cache l1`.

    Args:
        counted: By Prometheus, since the servers' start.
        sent: By the clients, requests by status and cache state, likewise.
    """
    clients: Counter[str] = Counter()
    for (status, cache), number in sent.items():
        clients[f"status {status}"] += number
        if cache:
            clients[f"cache {cache}"] += number
    return {
        name: (counted[name], clients[name])
        for name in sorted(counted.keys() | clients.keys())
        if counted[name] != clients[name]
    }


def _counts(port: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for word, label, expression in (("status", "status", STATUSES), ("cache", "result", STATES)):
        for series in _query(port, expression):
            counts[f"{word} {series['metric'][label]}"] = int(float(series["value"][1]))
    return counts


def _query(port: int, expression: str) -> list[dict[str, Any]]:
    answer = get(port, f"/api/v1/query?{urlencode({'query': expression})}")
    if answer.status != 200:
        raise AnswerError(f"Prometheus answered {answer.status}: {answer.body[:200]!r}")
    result: list[dict[str, Any]] = msgspec.json.decode(answer.body)["data"]["result"]
    return result
