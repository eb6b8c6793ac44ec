"""Whether a service answers, asked as its clients would."""

import socket
import time
from http.client import HTTPConnection, HTTPException

from ops.native.state import StackError, State
from ops.native.supervision import Supervisor

_paths = {
    "api": "/health/ready",
    "nginx": "/healthz",
    "prometheus": "/-/ready",
    "nginx-exporter": "/metrics",
}


def kind_of(service: str) -> str:
    """Give a service's kind: replicas are named api-1, api-2 …"""
    return "api" if service.startswith("api-") else service


def port_of(service: str, state: State) -> int:
    """Give the port that a service is asked on."""
    ports = {
        "nginx": state.status_port,
        "prometheus": state.prometheus_port,
        "nginx-exporter": state.exporter_port,
        "redis": state.redis_port,
    }
    return state.replicas[service] if service in state.replicas else ports[service]


def answers(service: str, port: int) -> bool:
    """Ask a service once, for two seconds at most."""
    kind = kind_of(service)
    try:
        if kind == "redis":
            with socket.create_connection(("127.0.0.1", port), timeout=2.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        client = HTTPConnection("127.0.0.1", port, timeout=2.0)
        try:
            client.request("GET", _paths[kind])
            return client.getresponse().status in (200, 204)
        finally:
            client.close()
    except (OSError, HTTPException):
        return False


def is_healthy(service: str, state: State, supervisor: Supervisor) -> bool:
    """Tell whether a service's own process runs and answers: another's may have its port."""
    runs = supervisor.state_of(service) in ("STARTING", "RUNNING")
    return runs and (service == "watch" or answers(service, port_of(service, state)))


MOST_ENDS = 2
"""Of a service that is waited for, before whoever waits is told; supervisord goes on trying."""


def wait_until_ready(
    services: list[str], state: State, supervisor: Supervisor, timeout_seconds: float = 60.0
) -> None:
    """Wait until all answer.

    Raises:
        StackError: One has ended at its first starts, or does not answer in time.
    """
    give_up = time.monotonic() + timeout_seconds
    for service in services:
        starts = set[int]()
        while not is_healthy(service, state, supervisor):
            starts.add(supervisor.start_of(service))
            if len(starts - {0}) > MOST_ENDS:
                raise StackError(f"{service} ended: ops/stack logs {service}")
            if time.monotonic() > give_up:
                raise StackError(f"{service} does not answer: ops/stack logs {service}")
            time.sleep(0.05)
