"""20,000 broken requests to the infer route: none is a 5xx, none hangs, none costs memory."""

import http.client
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import psutil

from tests.server import Server

NUM_REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "20000"))
TIMEOUT_SECONDS = 10.0
MOST_GROWTH_BYTES = 20 * 1024 * 1024
LENGTH = "Inference-Header-Content-Length"

Sent = tuple[str, bytes, dict[str, str]]
ODD_SIZES: list[Any] = [
    0, -1, 1, 2, 2**31, 2**32, 2**63, 2**64, 10**30, -(2**63), 1.5, "3", None, True, [], {},
]  # fmt: skip
ODD_VALUES: list[Any] = [
    0, -1, 1.5, 1e38, 1e39, True, None, "", "word", "ü", [], {}, [[]], [[1, 2], 3], {"a": 1}, 2**70,
]  # fmt: skip
DATATYPES = ["FP32", "FP64", "FP16", "BF16", "INT64", "UINT8", "BOOL", "BYTES", "fp32", "", "X", 5]
MODELS = ["pair", "words", "echo-bool", "echo-float16", "echo-int64", "free", "fixed", "scalar"]


def valid(draw: random.Random) -> tuple[dict[str, Any], bytes]:
    """A request for two inputs, as JSON and the bytes behind it."""
    rows = draw.randint(1, 4)
    values = np.ones((rows, 2), np.float32)
    tensors: list[dict[str, Any]] = []
    behind = b""
    for name in ("left", "right"):
        tensor: dict[str, Any] = {"name": name, "shape": [rows, 2], "datatype": "FP32"}
        if draw.random() < 0.5:
            tensor["data"] = values.tolist()
        else:
            tensor["parameters"] = {"binary_data_size": values.nbytes}
            behind += values.tobytes()
        tensors.append(tensor)
    return {"inputs": tensors}, behind


def spoil(draw: random.Random, body: dict[str, Any]) -> None:
    """Change one thing in the JSON."""
    tensor = draw.choice(body["inputs"])
    field = draw.choice(
        ["name", "shape", "size", "datatype", "data", "parameters", "inputs", "more"]
    )
    if field == "shape":
        tensor["shape"] = [draw.choice(ODD_SIZES) for _ in range(draw.randint(0, 4))]
    elif field == "size":
        tensor["parameters"] = {"binary_data_size": draw.choice(ODD_SIZES)}
    elif field == "datatype":
        tensor["datatype"] = draw.choice(DATATYPES)
    elif field == "data":
        tensor["data"] = [draw.choice(ODD_VALUES) for _ in range(draw.randint(0, 6))]
    elif field == "inputs":
        body["inputs"] = draw.choice([body["inputs"] * 2, body["inputs"][:1], [], None, [5]])
    elif field == "more":
        key = draw.choice(["outputs", "id", "parameters"])
        body[key] = draw.choice([*ODD_VALUES, [{"name": "sum"}], [{"name": "no"}], {"timeout": -1}])
    else:
        tensor[field] = draw.choice(ODD_VALUES)


def changed_json(draw: random.Random) -> Sent:
    """Valid JSON that says something else."""
    body, behind = valid(draw)
    for _ in range(draw.randint(1, 3)):
        if isinstance(body.get("inputs"), list) and body["inputs"] and body["inputs"] != [5]:
            spoil(draw, body)
    document = msgspec.json.encode(body)
    return draw.choice(MODELS), document + behind, {LENGTH: str(len(document))}


def changed_bytes(draw: random.Random) -> Sent:
    """Cut, lengthened, or with bytes that are others."""
    body, behind = valid(draw)
    document = msgspec.json.encode(body)
    whole = bytearray(document + behind)
    for _ in range(draw.randint(1, 4)):
        whole[draw.randrange(len(whole))] = draw.randrange(256)
    cut = draw.choice([len(whole), draw.randrange(len(whole)), len(whole)])
    return "pair", bytes(whole[:cut]) + b"\0" * draw.choice([0, 0, 3]), {LENGTH: str(len(document))}


def changed_header(draw: random.Random) -> Sent:
    """A length that is another."""
    body, behind = valid(draw)
    document = msgspec.json.encode(body)
    value = draw.choice(
        ["0", "-1", "1", "x", "", "9" * 30, str(len(document) + draw.randint(-3, 3))]
    )
    return draw.choice(MODELS), document + behind, {LENGTH: value}


def noise(draw: random.Random) -> Sent:
    """Bytes of no meaning."""
    headers = draw.choice([{}, {LENGTH: "0"}, {LENGTH: "4"}, {"Content-Encoding": "gzip"}])
    return (
        draw.choice([*MODELS, "none", "%00", "%ff"]),
        draw.randbytes(draw.randrange(200)),
        headers,
    )


def brackets(draw: random.Random) -> Sent:
    """Nested deeper than any tensor."""
    depth = draw.choice([100, 900, 2_000, 100_000])
    opened = b"[" * depth + draw.choice([b"", b"1" + b"]" * depth])
    return (
        "pair",
        b'{"inputs":[{"name":"left","shape":[1,2],"datatype":"FP32","data":%b}]}' % opened,
        {},
    )


KINDS: list[Callable[[random.Random], Sent]] = [
    *[changed_json] * 8, *[changed_bytes] * 5, *[changed_header] * 4, *[noise] * 3, brackets,
]  # fmt: skip


def test_broken_requests_are_refused_and_nothing_else(
    server: Server, record_property: Callable[[str, object], None]
) -> None:
    """Each is answered within seconds, by 200 or 4xx, and the server is as it was."""
    draw = random.Random(7)
    process = psutil.Process(server.pid)
    statuses: Counter[int] = Counter()
    grown_from = 0
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)
    for number in range(NUM_REQUESTS):
        if number == NUM_REQUESTS // 10:  # by then whatever is made once has been made
            grown_from = process.memory_info().rss
        model, body, headers = draw.choice(KINDS)(draw)
        connection.request("POST", f"/v2/models/{model}/infer", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        statuses[answer.status] += 1
        assert answer.status < 500, (model, body[:400], headers, text)
        if answer.status != 200:
            assert msgspec.json.decode(text, type=dict[str, str]).keys() == {"error"}
    connection.close()

    assert {200, 400, 404} <= statuses.keys()
    grown = process.memory_info().rss - grown_from
    record_property("requests", statuses.total())
    record_property("refused", statuses.total() - statuses[200])
    record_property("grown_kb", max(grown, 0) // 1024)
    assert grown < MOST_GROWTH_BYTES
    assert server.client.get("/v2/health/ready").status_code == 200
