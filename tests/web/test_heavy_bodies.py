"""Bodies that weigh more than they look: bombs, lying lengths, deep nesting, enormous numbers.

Each is refused by a 4xx within the client's time, and none costs the server memory beyond its body.
"""

import gzip
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from tests.server import Server, end_well
from tests.web.samples import ROW, write_shapes

MOST_GROWTH_MB = 150
"""A body of 16 MB is held two or three times while it is read."""

JSON, MSGPACK = "application/json", "application/msgpack"
PREDICT, BATCH = "/predict?model=wine", "/predict/batch?model=wine"
PAIR, WORDS, FREE = (f"/v2/models/{name}/infer" for name in ("pair", "words", "free"))
INDEX, LOAD = "/v2/repository/index", "/v2/repository/models/wine/load"
GIGABYTES = 4
DEPTH = 100_000


class Sent(NamedTuple):
    """A request that is no good."""

    path: str
    body: bytes
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


def packed(path: str, body: bytes) -> Sent:
    """A body of MessagePack."""
    return Sent(path, body, {"Content-Type": MSGPACK})


def compressed(body: bytes, encoding: str = "gzip") -> Sent:
    """A body of the Open Inference Protocol."""
    return Sent(PAIR, body, {"Content-Encoding": encoding})


def binary(path: str, document: bytes, rest: bytes = b"") -> Sent:
    """JSON, and bytes behind it."""
    return Sent(path, document + rest, {"Inference-Header-Content-Length": str(len(document))})


def bomb(header: bytes) -> bytes:
    """Megabytes that become gigabytes: a block of 64 MB of zeros, over and over."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = deflater.compress(b"\0" * (64 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return header + block * (GIGABYTES * 16)


def bombs() -> dict[str, Sent]:
    """Compressed bodies."""
    of_gzip = bomb(b"\x1f\x8b\x08\0\0\0\0\0\0\x03")
    return {
        "gzip": compressed(of_gzip),
        "deflate": compressed(bomb(b"\x78\xda"), "deflate"),
        "gzip in gzip": compressed(gzip.compress(of_gzip)),
        "gzip twice, said so": compressed(gzip.compress(gzip.compress(b"{}")), "gzip, gzip"),
        "gzip without its end": compressed(of_gzip[:-9]),
        "half of a small gzip": compressed(gzip.compress(b'{"inputs":[]}')[:-12]),
        "another checksum": compressed(gzip.compress(b'{"inputs":[]}')[:-8] + b"\1" * 8),
        "many gzips": compressed(gzip.compress(b"{}") * 10_000),
        "deflate that is gzip": compressed(gzip.compress(b"{}"), "deflate"),
        "gzip that is none": compressed(b"\x1f\x8b" + b"x" * 1000),
        "nothing": compressed(b""),
    }


def lying_lengths() -> dict[str, Sent]:
    """Headers of MessagePack, and lengths of strings, that say 4 GB where nothing is."""
    headers = {
        "array": b"\xdd", "map": b"\xdf", "text": b"\xdb", "bytes": b"\xc6", "extension": b"\xc9",
    }  # fmt: skip
    found = {
        f"{name} of 4 GB at {place or 'the start'} of {path[1:14]}": packed(
            path, start + opcode + b"\xff\xff\xff\xff" + b"\1"
        )
        for name, opcode in headers.items()
        for path, place, start in (
            (PREDICT, "", b""),
            (PREDICT, "data", b"\x81\xa4data"),
            (PREDICT, "a row", b"\x81\xa4data\x91"),
            (BATCH, "", b""),
            (BATCH, "requests", b"\x81\xa8requests"),
            (BATCH, "a member", b"\x81\xa8requests\x91"),
            (BATCH, "data", b"\x81\xa8requests\x91\x81\xa4data"),
        )
    }
    words = b'{"inputs":[{"name":"words","shape":[1,2],"datatype":"BYTES","parameters":'
    words += b'{"binary_data_size":9}}]}'
    found["strings of 4 GB"] = binary(WORDS, words, b"\xff\xff\xff\xffabcde")
    found["strings that end within a length"] = binary(WORDS, words, b"\1\0\0\0a\1\0\0\0")
    return found


def deep() -> dict[str, Sent]:
    """Nesting far beyond what any recursion allows."""
    lists, maps = b"[" * DEPTH + b"]" * DEPTH, b'{"a":' * DEPTH + b"1" + b"}" * DEPTH
    found = {}
    for path in (PREDICT, BATCH, PAIR, INDEX, LOAD):
        for name, value in (("lists", lists), ("objects", maps), ("open lists", b"[" * DEPTH)):
            for key in ("data", "requests", "inputs", "parameters", "id"):
                found[f"{name} in {key} of {path}"] = Sent(
                    path, b'{"%b":%b}' % (key.encode(), value)
                )
            found[f"{name} for {path}"] = Sent(path, value)
    tensor = b'{"inputs":[{"name":"left","shape":[1,2],"datatype":"FP32","data":%b}]}'
    found["lists in a tensor"] = Sent(PAIR, tensor % lists)
    for path, start in (
        (PREDICT, b""), (PREDICT, b"\x81\xa4data"), (PREDICT, b"\x81\xa9use_cache"),
        (BATCH, b""), (BATCH, b"\x81\xa8requests"), (BATCH, b"\x81\xa8requests\x91\x81\xa4data"),
    ):  # fmt: skip
        found[f"packed lists {start!r} {path}"] = packed(path, start + b"\x91" * DEPTH + b"\1")
        found[f"packed maps {start!r} {path}"] = packed(path, start + b"\x81\xa1a" * DEPTH + b"\1")
    return found


def numbers() -> dict[str, Sent]:
    """Numbers that no type holds, in each place that takes one."""
    found: dict[str, Sent] = {}
    tensor = '{"inputs":[{"name":"left","shape":[%s,2],"datatype":"FP32","parameters":%s,'
    tensor += '"data":[1,%s]}]}'
    for name, number in {
        "exponent": "1e999999", "digits": "9" * 100_000, "negative digits": "-" + "9" * 100_000,
        "exponent of digits": "1e" + "9" * 1000,
    }.items():  # fmt: skip
        row = ",".join([*map(str, ROW[:9]), number])
        texts = {
            "row": (PREDICT, f'{{"data":[[{row}]]}}'),
            "member": (BATCH, f'{{"requests":{number}}}'),
            "lifetime": (PREDICT, f'{{"data":[[1]],"cache_ttl":{number}}}'),
            "value": (PAIR, tensor % (1, "{}", number)),
            "size": (PAIR, tensor % (number, "{}", 1)),
            "parameter": (PAIR, tensor % (1, f'{{"binary_data_size":{number}}}', 1)),
            "index": (INDEX, f'{{"ready":{number}}}'),
        }
        found |= {
            f"{name} as {place}": Sent(path, text.encode()) for place, (path, text) in texts.items()
        }
    return found


def claims() -> dict[str, Sent]:
    """Shapes of 2^62 values, or of a million dimensions, with nothing behind them."""
    found = {}
    for path, name, datatype, shapes in (
        (PAIR, "left", "FP32", ([2**62, 2], [2**62, 0], [0, 2], [-1, 2])),
        (WORDS, "words", "BYTES", ([2**62, 2], [2**32, 2])),
        (FREE, "x", "FP32", ([2**62, 2**62], [0, 2**62], [2**62, 0], [2**31, 2**31])),
    ):
        for shape in shapes:
            tensor: dict[str, Any] = {"name": name, "shape": shape, "datatype": datatype}
            without = msgspec.json.encode({"inputs": [tensor | {"data": []}]})
            found[f"{shape} of {name}"] = Sent(path, without)
            of_bytes = {"parameters": {"binary_data_size": 0}}
            document = msgspec.json.encode({"inputs": [tensor | of_bytes]})
            found[f"{shape} of {name} in bytes"] = binary(path, document)
    for shape in ([2**31 - 1] * 2, [2**31 - 1, 0], [0, 2**31 - 1], [1] * 100_000):
        tensor = {"dtype": "float32", "shape": shape, "data": b""}
        body = msgspec.msgpack.encode({"data": tensor})
        found[f"packed {str(shape)[:30]}"] = packed("/predict?model=free", body)
    dimensions = ",".join(["1"] * 3_000_000)
    start, end = '{"inputs":[{"name":"left","shape":[', '],"datatype":"FP32","data":[1]}]}'
    found["3,000,000 dimensions"] = Sent(PAIR, (start + dimensions + end).encode())
    return found


def many() -> dict[str, Sent]:
    """Small things in millions: a byte of each may take 64 of memory."""
    count = 5_000_000
    size = count.to_bytes(4, "big")
    late = b'{"cache_ttl":0,"data":[' + b"[]," * count + b"[]]}"
    packed_late = b"\x82\xa9cache_ttl\0\xa4data\xdd" + size + b"\x90" * count
    value = b'{"name":"left","shape":[1,2],"datatype":"FP32","data":[1,2]},'
    return {
        "rows": Sent(PREDICT, b'{"data":[' + b"[]," * count + b"[]]}"),
        "values": Sent(PREDICT, b'{"data":[[' + b"1," * count + b"1]]}"),
        "packed rows": packed(PREDICT, b"\x81\xa4data\xdd" + size + b"\x90" * count),
        "packed values": packed(PREDICT, b"\x81\xa4data\x91\xdd" + size + b"\1" * count),
        "packed members": packed(BATCH, b"\x81\xa8requests\xdd" + size + b"\x90" * count),
        "rows behind a fault": Sent(PREDICT, late),
        "packed rows behind a fault": packed(PREDICT, packed_late),
        "values of a tensor": Sent(PAIR, value.replace(b"1,2]}", b"1," * count + b"1]}")),
        "tensors": Sent(PAIR, b'{"inputs":[' + value * 100_000 + value[:-1] + b"]}"),
        "keys": Sent(PREDICT, b'{"data":[[1]],' + b'"data":[[1]],' * 100_000 + b'"a":1}'),
    }


KINDS = {
    "bombs": bombs,
    "lying lengths": lying_lengths,
    "deep": deep,
    "numbers": numbers,
    "claims": claims,
    "many": many,
}


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Models of rows, of two inputs, of strings, and of rows of any width."""
    folder = tmp_path_factory.mktemp("heavy")
    write_shapes(folder)
    with Server(folder) as running:
        yield running
        end_well(running)


def peak_mb(server: Server) -> float:
    """Most memory that the server has ever held."""
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError("VmHWM")


@pytest.mark.parametrize("kind", KINDS)
def test_heavy_bodies_are_refused(heavy: Server, kind: str) -> None:
    """Each is a short 4xx, the peak of memory stays, and the next request is answered."""
    sent = KINDS[kind]()
    heavy.client.post(PREDICT, json={"data": [ROW]})
    before = peak_mb(heavy)

    started = time.monotonic()
    answers = {
        name: heavy.client.post(path, content=body, headers=headers)
        for name, (path, body, headers) in sent.items()
    }
    seconds = time.monotonic() - started

    assert {n: a.status_code for n, a in answers.items() if not 400 <= a.status_code < 500} == {}
    assert {n: len(a.content) for n, a in answers.items() if len(a.content) > 1000} == {}
    assert peak_mb(heavy) - before < MOST_GROWTH_MB
    assert seconds < 0.5 * len(sent) + 10
    after: httpx.Response = heavy.client.post(PREDICT, json={"data": [ROW]})
    assert after.json()["labels"] == ["class_2"]
