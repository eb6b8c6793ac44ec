"""Requests that weigh more than they look: what each is called, and how it is made.

None is any good, so each is to be answered with 4xx; all go to the models of `test_bombs.py`: `wine`
takes `[N, 10]` of float32, `pair` two `[N, 2]`, `words` `[N, 2]` of strings, `free` `[N, M]`.
"""

import base64
import gzip
import os
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

MEGABYTE = 1 << 20
FULL = 16 * MEGABYTE - 4096
"""Of a body, with room for what stands round it."""

JSON, MSGPACK, CSV = "application/json", "application/msgpack", "text/csv"
PREDICT, WORDS, FREE = "/predict?model=wine", "/predict?model=words", "/predict?model=free"
BATCH = "/predict/batch?model=wine"
INFER, INFER_PAIR, INFER_WORDS, INFER_FREE = (
    f"/v2/models/{name}/infer" for name in ("wine", "pair", "words", "free")
)
INDEX, LOAD = "/v2/repository/index", "/v2/repository/models/wine/load"


class Bomb(NamedTuple):
    """One of them.

    Attributes:
        name: In the messages of the test.
        make: Makes all the bytes that are sent; not before they are needed.
        num_answers: That are due.
    """

    name: str
    make: Callable[[], bytes]
    num_answers: int = 1


def post(path: str, body: bytes, kind: str = JSON, **headers: str) -> bytes:
    """A whole request."""
    named = {"Host": "127.0.0.1", "Content-Type": kind, "Content-Length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def packed(path: str, body: bytes) -> bytes:
    """A request in MessagePack."""
    return post(path, body, MSGPACK)


def gzipped(body: bytes, path: str = INFER, coding: str = "gzip", level: int = 9) -> bytes:
    """A request whose body is compressed."""
    return post(path, gzip.compress(body, level), Content_Encoding=coding)


def fill(start: bytes, unit: bytes, end: bytes, size: int = FULL) -> bytes:
    """As many units as there is room for."""
    return start + unit * ((size - len(start) - len(end)) // len(unit)) + end


def tensor(
    shape: str, data: bytes = b"[1]", name: str = "float_input", kind: str = "FP32"
) -> bytes:
    """A document with one input."""
    head = f'{{"inputs":[{{"name":"{name}","shape":{shape},"datatype":"{kind}","data":'
    return head.encode() + data + b"}]}"


def binary(
    path: str, shape: str, size: int, rest: bytes, name: str = "words", kind: str = "BYTES"
) -> bytes:
    """A request with binary data."""
    document = f'{{"inputs":[{{"name":"{name}","shape":{shape},"datatype":"{kind}",'
    document += f'"parameters":{{"binary_data_size":{size}}}}}]}}'
    length = str(len(document))
    return post(path, document.encode() + rest, Inference_Header_Content_Length=length)


def chunked(path: str, chunks: bytes) -> bytes:
    """A request whose body comes in chunks."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {JSON}\r\n"
    return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def array32(count: int) -> bytes:
    """The header of a list in MessagePack."""
    return b"\xdd" + struct.pack(">I", count)


def zeros_of(header: bytes, gigabytes: int = 4) -> bytes:
    """Deflated: a block of 64 MB of zeros, over and over."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = deflater.compress(b"\0" * (64 * MEGABYTE)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return header + block * (gigabytes * 16)


PACKED = b"\x81\xa4data"
PACKED_BATCH = b"\x81\xa8requests"
GZIP_HEAD, ZLIB_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\x78\xda"
SMALL = 16_384
ROW = b"[1,2,3,4,5,6,7,8,9,10]"
MEMBER = b'{"data":[' + ROW + b"]},"

COMPRESSED = (
    Bomb("lists in parameters", lambda: gzipped(fill(b'{"inputs":[],"parameters":{"a":[', b"[[]],", b"[]]}}"))),
    Bomb("empty lists for many rows", lambda: gzipped(tensor("[838825,10]", fill(b"[", b"[],", b"[]]")))),
    Bomb("one row of zeros", lambda: gzipped(tensor("[1,10]", fill(b"[", b"0,", b"0]")))),
    Bomb("more rows than there may be", lambda: gzipped(tensor("[838825,10]", fill(b"[", b"1,", b"1]", 2 * 838_825)))),
    Bomb("millions of empty strings", lambda: gzipped(tensor("[2100000,2]", fill(b"[", b'"",', b'""]'), "words", "BYTES"), INFER_WORDS)),
    Bomb("16 kB of lists", lambda: gzipped(tensor("[1,10]", fill(b"[", b"[],", b"[]]", 1000 * SMALL)))),
    Bomb("the most that any ratio lets pass, of lists", lambda: gzipped(tensor("[1,10]", fill(b"[", b"[],", b"[]]", MEGABYTE - 200)))),
    Bomb("the same of zeros for a free size", lambda: gzipped(tensor("[1,9]", fill(b"[", b"0,", b"0]", MEGABYTE - 200), "x"), INFER_FREE)),
    Bomb("the same of keys", lambda: gzipped(fill(b'{"inputs":[],"parameters":{', b'"a":1,', b'"a":1}}', MEGABYTE - 200))),
    Bomb("gigabytes of zeros", lambda: post(INFER, zeros_of(GZIP_HEAD), Content_Encoding="gzip")),
    Bomb("gigabytes of zeros, deflated", lambda: post(INFER, zeros_of(ZLIB_HEAD), Content_Encoding="deflate")),
    Bomb("a gzip in a gzip", lambda: gzipped(zeros_of(GZIP_HEAD))),
    Bomb("a gzip twice, said so", lambda: gzipped(gzip.compress(b"{}"), coding="gzip, gzip")),
    Bomb("a gzip of many members", lambda: post(INFER, gzip.compress(b"{}") * 400_000, Content_Encoding="gzip")),
    Bomb("a gzip with noise behind it", lambda: post(INFER, gzip.compress(b"{}") + os.urandom(FULL // 2), Content_Encoding="gzip")),
    Bomb("a gzip that is not compressed", lambda: gzipped(tensor("[1,10]", fill(b"[", b"1,", b"1]", FULL - 4096)), level=0)),
    Bomb("a deflate without its header", lambda: post(INFER, zeros_of(b"", 1), Content_Encoding="deflate")),
    Bomb("a gzip for no model", lambda: gzipped(b"\0" * FULL, "/v2/models/none/infer")),
    Bomb("a gzip for /predict", lambda: gzipped(b'{"data":[[%b0]]}' % (b"0," * (8 * MEGABYTE)), PREDICT)),
)  # fmt: skip

LISTS = (
    Bomb("empty rows", lambda: post(PREDICT, fill(b'{"data":[', b"[],", b"[]]}"))),
    Bomb("empty rows behind a fault", lambda: post(PREDICT, fill(b'{"cache_ttl":0,"data":[', b"[],", b"[]]}"))),
    Bomb("one row of numbers", lambda: post(PREDICT, fill(b'{"data":[[', b"1,", b"1]]}"))),
    Bomb("rows of one number", lambda: post(PREDICT, fill(b'{"data":[', b"[1],", b"[1]]}"))),
    Bomb("more rows than there may be", lambda: post(PREDICT, fill(b'{"data":[', ROW + b",", ROW + b"]}"))),
    Bomb("empty rows of any width", lambda: post(FREE, fill(b'{"data":[', b"[],", b"[]]}"))),
    Bomb("rows of any width, one ragged", lambda: post(FREE, fill(b'{"data":[[1,2],', b"[1],", b"[1]]}"))),
    Bomb("lists in lists in lists", lambda: post(PREDICT, fill(b'{"data":[', b"[[[]]],", b"[]]}"))),
    Bomb("brackets that open", lambda: post(PREDICT, fill(b'{"data":', b"[", b""))),
    Bomb("brackets round one number", lambda: post(PREDICT, b'{"data":' + b"[" * (FULL // 2 - 9) + b"1" + b"]" * (FULL // 2 - 9) + b"}")),
    Bomb("objects in objects", lambda: post(PREDICT, fill(b'{"data":', b'{"a":', b"1"))),
    Bomb("objects for rows", lambda: post(PREDICT, fill(b'{"data":[', b"{},", b"{}]}"))),
    Bomb("nothing but space", lambda: post(PREDICT, fill(b"", b" ", b""))),
    Bomb("space between numbers", lambda: post(PREDICT, fill(b'{"data":[[1,', b" ", b"1]]}"))),
    Bomb("a number of digits", lambda: post(PREDICT, fill(b'{"data":[[', b"9", b"]]}"))),
    Bomb("numbers of 4,000 digits", lambda: post(PREDICT, fill(b'{"data":[[', b"9" * 4000 + b",", b"1]]}"))),
    Bomb("an exponent of digits", lambda: post(PREDICT, fill(b'{"data":[[1e', b"9", b"]]}", MEGABYTE // 8))),
    Bomb("a lifetime of digits", lambda: post(PREDICT, fill(b'{"data":[%b],"cache_ttl":' % ROW, b"9", b"}"))),
    Bomb("empty strings", lambda: post(WORDS, fill(b'{"data":[', b'["",""],', b'["",""]]}'))),
    Bomb("one string", lambda: post(WORDS, fill(b'{"data":[["a","', b"a", b'"]]}'))),
    Bomb("escaped characters", lambda: post(WORDS, fill(b'{"data":[["a","', b"\\u0041", b'"],1]}', 4 * MEGABYTE - 9))),
    Bomb("strings for numbers", lambda: post(PREDICT, fill(b'{"data":[[', b'"1",', b"1]]}"))),
    Bomb("a picture in base64", lambda: post(PREDICT, b'{"data":"%b"}' % base64.b64encode(os.urandom(FULL // 4 * 3 - 99)))),
)  # fmt: skip

HALF = 262_000
"""Just short of what is read in pieces whatever is in it."""

DENSE = (
    Bomb("dense lists of a number", lambda: post(PREDICT, fill(b'{"data":[', b"[1],", b"[1]]}", HALF))),
    Bomb("dense lists, one ragged", lambda: post(FREE, fill(b'{"data":[', b"[1],", b"[1,2]]}", HALF))),
    Bomb("dense numbers, one too large", lambda: post(FREE, fill(b'{"data":[[', b"1,", b"1e300]]}", HALF))),
    Bomb("dense lists behind an escaped key", lambda: post(FREE, fill(b'{"use_c\\u0061che":0,"data":[', b"[1],", b"[1]]}", HALF))),
    Bomb("dense lists of a string", lambda: post(WORDS, fill(b'{"data":[', b'[""],', b'[""]]}', HALF))),
    Bomb("dense strings, one row ragged", lambda: post(WORDS, fill(b'{"data":[', b'["",""],', b'[""]]}', HALF))),
    Bomb("dense lists in a tensor", lambda: post(INFER_FREE, tensor("[1,70000]", fill(b"[", b"[1],", b"[1]]", HALF), "x"))),
    Bomb("dense lists in lists in a tensor", lambda: post(INFER_FREE, tensor("[1,70000]", fill(b"[", b"[[[]]],", b"[1]]", HALF), "x"))),
    Bomb("dense strings in a tensor", lambda: post(INFER_WORDS, tensor("[9000,2]", fill(b"[", b'[""],', b'[""]]', HALF), "words", "BYTES"))),
    Bomb("dense lists for strings of a tensor", lambda: post(INFER_WORDS, tensor("[30000,2]", fill(b"[", b"[],", b"[]]", MEGABYTE - 200), "words", "BYTES"))),
    Bomb("dense strings in bytes", lambda: binary(INFER_WORDS, "[32000,2]", HALF, bytes(HALF))),
    Bomb("dense members", lambda: post(BATCH, fill(b'{"requests":["\\n",', b"[1],", b"[1]]}", HALF))),
    Bomb("a long string of escapes in a member", lambda: post(BATCH, fill(b'{"requests":[{"data":[["', b"\\n", b"]]}]}", 4 * MEGABYTE))),
    Bomb("packed lists of a number", lambda: packed(PREDICT, PACKED + array32(65_000) + b"\x91\1" * 65_000)),
)  # fmt: skip

KEYS = (
    Bomb("many keys", lambda: post(PREDICT, fill(b'{"data":[[1]],', b'"a":1,', b'"a":1}'))),
    Bomb("the same key again and again", lambda: post(PREDICT, fill(b'{"data":[[1]],', b'"data":[[1]],', b'"data":[[1]]}'))),
    Bomb("keys of many rows twice", lambda: post(PREDICT, b'{"data":[%b%b],"data":[%b]}' % ((ROW + b",") * 9000, ROW, ROW))),
    Bomb("one long key", lambda: post(PREDICT, fill(b'{"data":[[1]],"', b"a", b'":1}'))),
    Bomb("an escaped key beside many numbers", lambda: post(PREDICT, fill(b'{"use_c\\u0061che":true,"use_cache":true,"data":[', ROW + b",", ROW + b"]}", 200_000))),
    Bomb("keys in parameters", lambda: post(INFER, b'{"inputs":[],"parameters":{%b"z":1}}' % b"".join(b'"%x":1,' % n for n in range(1_400_000)))),
    Bomb("keys nobody knows", lambda: post(INFER, fill(b'{"inputs":[]', b',"a":[[]]', b"}"))),
    Bomb("parameters of a load", lambda: post(LOAD, fill(b'{"parameters":{"a":[', b"[],", b"[]]}}"))),
    Bomb("an index of lists", lambda: post(INDEX, fill(b'{"ready":[', b"[],", b"[]]}"))),
)  # fmt: skip

TENSORS = (
    Bomb("many inputs", lambda: post(INFER, fill(b'{"inputs":[', b'{"name":"float_input","shape":[1,10],"datatype":"FP32","data":[1]},', b"{}]}"))),
    Bomb("many inputs without data", lambda: post(INFER_PAIR, fill(b'{"inputs":[', b'{"name":"","shape":[],"datatype":""},', b"{}]}"))),
    Bomb("many outputs", lambda: post(INFER, fill(b'{"inputs":[],"outputs":[', b'{"name":"label"},', b"{}]}"))),
    Bomb("many dimensions", lambda: post(INFER, tensor(fill(b"[", b"1,", b"1]").decode()))),
    Bomb("dimensions of zero", lambda: post(INFER_FREE, tensor("[" + "0," * 63 + "0]", b"[]", "x"))),
    Bomb("nothing, of a large shape", lambda: post(INFER_FREE, tensor("[0,9223372036854775807]", b"[]", "x"))),
    Bomb("a shape that overflows", lambda: post(INFER_FREE, tensor("[4294967296,4294967296]", b"[]", "x"))),
    Bomb("a shape below zero", lambda: post(INFER_FREE, tensor("[-1,-9223372036854775808]", fill(b"[", b"1,", b"1]"), "x"))),
    Bomb("a shape of digits", lambda: post(INFER_FREE, tensor("[1," + "9" * 4000 + "]", fill(b"[", b"1,", b"1]"), "x"))),
    Bomb("more values than the shape", lambda: post(INFER, tensor("[1,10]", fill(b"[", b"1,", b"1]", FULL - 200)))),
    Bomb("fewer values than the shape", lambda: post(INFER_FREE, tensor("[1,9000000]", fill(b"[", b"1,", b"1]", FULL - 200), "x"))),
    Bomb("nested values without an end", lambda: post(INFER, tensor("[1,10]", fill(b"", b"[", b"", FULL - 200)))),
    Bomb("lists for strings", lambda: post(INFER_WORDS, tensor("[9,2]", fill(b"[", b"[],", b"[]]", FULL - 200), "words", "BYTES"))),
    Bomb("strings for numbers of a tensor", lambda: post(INFER, tensor("[1,10]", fill(b"[", b'"1",', b'"1"]', FULL - 200)))),
    Bomb("binary strings that are empty", lambda: binary(INFER_WORDS, "[2000000,2]", 4 * 4_000_000, bytes(4 * 4_000_000))),
    Bomb("binary strings that are fewer", lambda: binary(INFER_WORDS, "[9000,2]", FULL - 999, bytes(FULL - 999))),
    Bomb("binary sizes that do not add up", lambda: binary(INFER, "[400000,10]", FULL, bytes(1000), "float_input", "FP32")),
    Bomb("binary data behind the data", lambda: binary(INFER, "[1,10]", 40, bytes(FULL), "float_input", "FP32")),
    Bomb("a header beyond the body", lambda: post(INFER, bytes(FULL), Inference_Header_Content_Length="9" * 19)),
    Bomb("raw bytes of no whole row", lambda: post(INFER, bytes(FULL - 1), Inference_Header_Content_Length="0")),
)  # fmt: skip

PACKED_LISTS = (
    Bomb("packed wide rows", lambda: packed(PREDICT, PACKED + array32(65_536) + (b"\xdc\0\xf9" + b"\1" * 249) * 65_536)),
    Bomb("packed empty rows", lambda: packed(PREDICT, PACKED + array32(FULL) + b"\x90" * FULL)),
    Bomb("packed empty rows of any width", lambda: packed(FREE, PACKED + array32(FULL) + b"\x90" * FULL)),
    Bomb("packed numbers", lambda: packed(PREDICT, PACKED + b"\x91" + array32(FULL) + b"\1" * FULL)),
    Bomb("packed rows, just short enough", lambda: packed(FREE, PACKED + array32(43_000) + b"\x92\1\1" * 43_000)),
    Bomb("four thousand million rows", lambda: packed(PREDICT, PACKED + array32(2**32 - 1) + b"\x90" * FULL)),
    Bomb("four thousand million keys", lambda: packed(PREDICT, b"\xdf\xff\xff\xff\xff" + b"\xa4data\x90" * (FULL // 6))),
    Bomb("four thousand million bytes", lambda: packed(PREDICT, PACKED + b"\x83\xa5dtype\xa7float32\xa5shape\x91\1\xa4data\xc6\xff\xff\xff\xff")),
    Bomb("packed lists in lists", lambda: packed(PREDICT, PACKED + b"\x91" * FULL)),
    Bomb("packed maps in maps", lambda: packed(PREDICT, b"\x81\xa1a" * (FULL // 3))),
    Bomb("packed floats, but for the last", lambda: packed(FREE, PACKED + b"\x91" + array32(1_800_000) + (b"\xcb" + bytes(8)) * 1_799_999 + b"\1")),
    Bomb("packed floats beyond the dtype", lambda: packed(FREE, PACKED + b"\x91" + array32(1_800_000) + (b"\xcb\x7f\xe0" + bytes(6)) * 1_800_000)),
    Bomb("packed strings", lambda: packed(WORDS, PACKED + array32(FULL) + b"\xa0" * FULL)),
    Bomb("a packed tensor of many keys", lambda: packed(PREDICT, PACKED + b"\xdf\0\x20\0\0" + b"\xa5dtype\xa0" * (FULL // 7))),
    Bomb("a packed tensor of another size", lambda: packed(PREDICT, PACKED + b"\x83\xa5dtype\xa7float32\xa5shape\x92\xce\x7f\xff\xff\xff\n\xa4data\xc6" + struct.pack(">I", FULL) + bytes(FULL))),
    Bomb("a packed tensor that is no number", lambda: packed(PREDICT, PACKED + b"\x83\xa5dtype\xa7float32\xa5shape\x92\xcd\x27\x10\n\xa4data\xc6" + struct.pack(">I", 400_000) + b"\xff" * 400_000)),
)  # fmt: skip

BATCHES = (
    Bomb("many members", lambda: post(BATCH, fill(b'{"requests":[', b"{},", b"{}]}"))),
    Bomb("many good members", lambda: post(BATCH, fill(b'{"requests":[', MEMBER, MEMBER[:-1] + b"]}"))),
    Bomb("members that are no objects", lambda: post(BATCH, fill(b'{"requests":[', b"[],", b"[]]}"))),
    Bomb("members without an end", lambda: post(BATCH, fill(b'{"requests":[', b'{"data":[', b"]}"))),
    Bomb("members in a string", lambda: post(BATCH, fill(b'{"requests":[{"data":"', b"},", b'"}],"a":1}'))),
    Bomb("packed members", lambda: packed(BATCH, PACKED_BATCH + array32(FULL) + b"\x80" * FULL)),
    Bomb("packed members, just short enough", lambda: packed(BATCH, PACKED_BATCH + array32(2_000_000) + b"\x80" * 2_000_000)),
    Bomb("four thousand million members", lambda: packed(BATCH, PACKED_BATCH + array32(2**32 - 1) + b"\x80")),
)  # fmt: skip

STREAMS = (
    Bomb("a target of percents", lambda: post("/v2/models/" + "%ff" * 20_000 + "/infer", b"{}")),
    Bomb("a target of slashes", lambda: post("/v2/models/" + "/" * 60_000 + "infer", b"{}")),
    Bomb("a query of many parts", lambda: post("/predict?" + "a&" * 30_000, b"{}")),
    Bomb("chunks of one byte", lambda: chunked(PREDICT, b"1\r\n[\r\n" * (FULL // 6))),
    Bomb("chunks with extensions", lambda: chunked(PREDICT, (b"10;" + b"a" * 1000 + b"\r\n" + b"[" * 16 + b"\r\n") * 4000)),
    Bomb("a chunk with a long extension", lambda: chunked(PREDICT, b"1;" + b"a" * FULL + b"\r\n[\r\n")),
    Bomb("a length of digits", lambda: post(PREDICT, b"", Content_Length="9" * 4000)),
    Bomb("a body beyond the bound", lambda: post(PREDICT, bytes(FULL + 8192))),
    Bomb("bad requests in a pipeline", lambda: post(PREDICT, b"{}") * 20_000, 20_000),
    Bomb("a table in CSV", lambda: post(PREDICT, fill(b"", b"1,2,3,4,5,6,7,8,9,10\n", b""), CSV)),
    Bomb("many headers", lambda: post(PREDICT, b"{}", **{f"A{number}": "1" for number in range(20_000)})),
)  # fmt: skip

BOMBS = (*COMPRESSED, *LISTS, *DENSE, *KEYS, *TENSORS, *PACKED_LISTS, *BATCHES, *STREAMS)
