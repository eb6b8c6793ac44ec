"""What Prometheus has counted, held against what the clients have: nothing may be lost or made up.

Sums are over replicas. They are read when each replica has been scraped since the last answer.
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
SCRAPED = "min by (instance) (timestamp(ml_api_requests_total))"
MOST_SECONDS = 20.0
COUNTED_SECONDS = 0.2
"""After an answer: a server counts a request when its answer is on its way."""


def read(prometheus_port: int, replicas: int) -> Counter[str]:
    """Return counts by `status 200` and `cache l1`, of scrapes that begin after this call.

    Raises:
        AnswerError: One of so many replicas is not scraped, or Prometheus does not answer.
    """
    begin, limit = time.time() + COUNTED_SECONDS, time.monotonic() + MOST_SECONDS
    while time.monotonic() < limit:
        scraped = [float(series["value"][1]) for series in _query(prometheus_port, SCRAPED)]
        if len(scraped) == replicas and min(scraped) >= begin:
            return _counts(prometheus_port)
        time.sleep(0.1)
    raise AnswerError(f"Prometheus: not all of {replicas} replicas are scraped")


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
