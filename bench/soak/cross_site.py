"""Requests as pages of other sites make browsers send them, and pages whose name leads here.

To a developer's server, which asks for no token, and to one with a token behind Nginx.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable

import uvloop

from bench.harness import started
from bench.request import HOST, get
from bench.soak.client import Connection, post
from bench.soak.gateway import gateway
from bench.soak.scenario import Finding, Run, equal

ROUTES = (
    *("/models/reload", "/models/reload/", "/v2/repository/index"),
    *("/v2/repository/models/wine/load", "/v2/repository/models/wine/unload"),
)
"""That may change something, or are beside those that do."""
EVIL, FRIEND, TOKEN = "https://evil.example", "https://friend.example", "soak-token"
ORIGINS = ("", EVIL, "null", "http://evil.example:PORT", f"http://{HOST}", f"http://{HOST}:1")
SITES = ("", "cross-site", "same-site", "unheard-of")
HOSTS = ("evil.example", "evil.example:PORT", f"{HOST}.evil.example", "10.1.2.3", "x")
OWN: tuple[dict[str, str], ...] = (
    {},
    {"origin": f"http://{HOST}:PORT", "host": f"{HOST}:PORT"},
    {"origin": "http://localhost:PORT", "host": "localhost:PORT"},
    {"sec_fetch_site": "same-origin"},
    {"origin": FRIEND, "sec_fetch_site": "cross-site"},
)
"""Who may: no browser, this server's own pages, an origin of CORS_ORIGINS."""


def run(run: Run) -> Finding:
    """Send all of them, as often as there is time."""
    settings = {"CORS_ORIGINS": FRIEND, "ENV": "development"}
    statuses: Counter[int] = Counter()
    own: Counter[int] = Counter()
    with (
        started("local", environment=settings) as local,
        started("guarded", environment={**settings, "ADMIN_TOKEN": TOKEN}) as guarded,
        gateway(run.folder / "nginx", guarded.port, RATE_LIMIT_EXEMPT="127.0.0.0/8") as front,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        before = get(local.port, "/models").body, get(guarded.port, "/models").body
        for number in range(run.choose(50, 1)):
            run.progress(f"{number} of 50")
            for port, prefix in ((local.port, ""), (front, "/api")):
                statuses += runner.run(send(port, prefix, foreign(port)))
        after = get(local.port, "/models").body, get(guarded.port, "/models").body
        for port, prefix in ((local.port, ""), (front, "/api")):
            own += runner.run(send(port, prefix, OWN, ("/models/reload",)))
    return judge(statuses, own, unchanged=before == after)


def foreign(port: int) -> Iterable[dict[str, str]]:
    """Give the headers of requests that are not to be let in."""
    for origin, site in itertools.product(ORIGINS, SITES):
        if origin or site:
            yield {"host": f"{HOST}:PORT", "origin": origin, "sec_fetch_site": site}
    for host, own in itertools.product(HOSTS, (True, False)):
        yield {"host": host, "origin": f"http://{host}"} if own else {"host": host}


async def send(
    port: int,
    prefix: str,
    headers: Iterable[dict[str, str]],
    routes: tuple[str, ...] = ROUTES,
) -> Counter[int]:
    """Send each to each route; gives how often each status came."""
    found: Counter[int] = Counter()
    for each, route in itertools.product(list(headers), routes):
        named = {name: value.replace("PORT", str(port)) for name, value in each.items() if value}
        connection = await Connection.open(port)
        request = post(prefix + route, b"", authorization=f"Bearer {TOKEN}", **named)
        found[(await connection.ask(request)).status] += 1
        connection.close()
    return found


def judge(statuses: Counter[int], own: Counter[int], *, unchanged: bool) -> Finding:
    """Say what held."""
    num_let_in = sum(count for status, count in statuses.items() if status < 400)
    return Finding(
        tried=f"{statuses.total():,} requests that change what is served, with origins, fetch "
        "metadata and host names of others, to a server without a token and through Nginx to one "
        "with it",
        found=f"{num_let_in} let in: {statuses[403]:,} refused with 403, {statuses[421]:,} with "
        f"421; models as before; {own[200]} of {own.total()} who may, may",
        broken=[
            *equal("pages of other sites", set(statuses) - {403, 421}, set()),
            *equal("models as before", unchanged, True),
            *equal("those who may", set(own), {200}),
        ],
    )
