"""Locust's users, one class a scenario: `ops/bench` runs them, and so does locust by itself.

    .venv/bin/locust -f bench/locustfile.py --headless -t 30s --host http://127.0.0.1:8080/api \\
        -u 64 -r 100 Uncached

Latencies count from when a request was due, and every answer is compared with the right one.
"""

from __future__ import annotations

from typing import Any, ClassVar

from locust import FastHttpUser, events, task
from locust.exception import StopUser

from bench.scenarios import SCENARIOS, Scenario
from bench.suite.traffic import PREDICT, Primer, Traffic, rates_of


class PredictionUser(FastHttpUser):
    """A client with one connection that sends what its scenario's traffic hands out."""

    abstract = True
    scenario: ClassVar[Scenario]
    traffic: ClassVar[Traffic]
    network_timeout = 10.0
    connection_timeout = 10.0

    @task
    def predict(self) -> None:
        """Send the next request when it is due, and hold its answer against the right one."""
        taken = self.traffic.next()
        if taken is None:
            raise StopUser
        message, due = taken
        late = self.traffic.seconds - due
        with self.client.post(
            PREDICT,
            name=self.scenario.name,
            data=message.body,  # type: ignore[arg-type] # bytes are sent as they are
            headers=message.headers,
            catch_response=True,
        ) as answer:
            latency = self.traffic.seconds - due
            answer.request_meta["response_time"] = latency * 1e3
            status = answer.status_code
            found: dict[str, str] = answer.headers or {}
            if status:
                fault = self.traffic.judge(
                    message, status, found.get("retry-after"), answer.content or b""
                )
            else:
                fault = f"no answer: {answer.error}"
            cache = found.get("x-cache", "")
            self.traffic.record.add(due, late, latency, status=status, cache=cache, fault=fault)
            if fault:
                answer.failure(fault)
            else:
                answer.success()


def user_class(scenario: Scenario) -> type[PredictionUser]:
    """Return the users of a scenario."""
    name = scenario.name.title().replace("_", "")
    return type(name, (PredictionUser,), {"scenario": scenario, "__module__": __name__})


def prepare(environment: Any, **_: object) -> None:
    """Learn from the host what is right: only for locust by itself, whose run has no end."""
    primer = Primer(environment.host)
    for users in environment.user_classes:
        scenario = users.scenario
        kinds = [(share, primer.messages(ask)) for share, ask in scenario.mix]
        users.traffic = Traffic(scenario, kinds, None, rates_of(scenario.arrivals))
        users.traffic.begin()


events.test_start.add_listener(prepare)

globals().update(
    {users.__name__: users for users in map(user_class, SCENARIOS) if users.scenario.runs_anywhere}
)
