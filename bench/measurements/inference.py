"""The Open Inference Protocol: what it costs beside `/predict`, and beside reading the bytes.

One row of ten features, and one image of 600 kB; each as binary tensors and as JSON, cache off. The
echo reads the same body, by an ASGI application on Granian.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import tritonclient.http as triton

from bench.harness import ECHO_COMMAND, SERVE_COMMAND, Server
from bench.image_model import SHAPE, write_model
from bench.load import Load
from bench.markdown import number
from bench.request import HOST, Request, msgpack_request, send_ok
from bench.rounds import CPU, Candidate, headers
from bench.run import Run
from bench.sample import SAMPLE_FEATURES

ROUNDS, SECONDS = 5, 2
CONNECTIONS = 8
CLIENTS = (1, 8, 32)
JSON_CONNECTIONS = 2  # a megabyte and a half each
Values = npt.NDArray[np.float32]
ROW, ROW_BINARY = "/predict, MessagePack, one row", "/v2, binary, one row"
ROW_JSON = "/v2, JSON, one row"
ECHO, IMAGE, IMAGE_JSON = "echo on Granian, 600 kB", "/v2, binary, 600 kB", "/v2, JSON, the same"


def infer_request(model: str, name: str, values: Values, *, binary: bool) -> Request:
    """Return a request with one FP32 input."""
    tensor: dict[str, Any] = {"name": name, "shape": list(values.shape), "datatype": "FP32"}
    path = f"/v2/models/{model}/infer"
    if not binary:
        body = msgspec.json.encode({"inputs": [{**tensor, "data": values.ravel().tolist()}]})
        return Request(path, body, "application/json")
    tensor["parameters"] = {"binary_data_size": values.nbytes}
    document = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    head = msgspec.json.encode(document)
    headers = (("Inference-Header-Content-Length", str(len(head))),)
    return Request(path, head + values.tobytes(), "application/octet-stream", headers=headers)


def measure(run: Run) -> None:
    """Measure and report."""
    random = np.random.default_rng(7)
    row = random.uniform(-1, 1, (1, SAMPLE_FEATURES)).astype(np.float32).round(4)
    server = run.start("server")
    results = run.by_turns(of_a_row(run, server, row) + of_an_image(run, random))
    run.table(("what", *headers()), [(name, *results.cells(name)) for name in results.by_label])
    run.explain(connections=CONNECTIONS)
    run.note(
        f"{JSON_CONNECTIONS} connections for the image as JSON, which costs "
        f"{number(results.ratio(IMAGE_JSON, IMAGE, CPU))} × binary."
    )
    run.table(
        ("Triton's client, in threads", "inferences/s", "p50 µs", "p99 µs"),
        [
            (count, *map(number, by_tritonclient(server.port, row, count, run.options.seconds)))
            for count in CLIENTS
        ],
    )
    run.judge(
        {
            "row: CPU × /predict": results.ratio(ROW_BINARY, ROW, CPU),
            "image: CPU × echo": results.ratio(IMAGE, ECHO, CPU),
        }
    )


def of_a_row(run: Run, server: Server, row: Values) -> list[Candidate]:
    """Return what asks for one row, in order."""
    requests = {
        ROW: msgpack_request(1, SAMPLE_FEATURES, use_cache=False),
        ROW_BINARY: infer_request("wine", "float_input", row, binary=True),
        ROW_JSON: infer_request("wine", "float_input", row, binary=False),
    }
    return [
        Candidate(name, server, Load(request, CONNECTIONS, run.options.seconds))
        for name, request in requests.items()
    ]


def of_an_image(run: Run, random: np.random.Generator) -> list[Candidate]:
    """Start what takes images, and return what sends one, in order."""
    path = run.folder() / "image.onnx"
    write_model(path)
    image = random.uniform(-1, 1, (1, *SHAPE)).astype(np.float32).round(4)
    binary = infer_request("image", "image", image, binary=True)
    in_json = infer_request("image", "image", image, binary=False)
    images = run.start("images", (*SERVE_COMMAND, str(path)))
    size = str(len(send_ok(images.port, binary, cache="bypass").body))
    echo = run.start("echo", ECHO_COMMAND, ECHO="granian", ANSWER_BYTES=size)
    seconds = run.options.seconds
    return [
        Candidate(ECHO, echo, Load(binary, CONNECTIONS, seconds)),
        Candidate(IMAGE, images, Load(binary, CONNECTIONS, seconds)),
        Candidate(IMAGE_JSON, images, Load(in_json, JSON_CONNECTIONS, seconds)),
    ]


def by_tritonclient(
    port: int, values: Values, count: int, seconds: int
) -> tuple[float, float, float]:
    """Ask by Triton's own client, `count` of them in threads, for so long.

    Returns:
        Inferences a second; p50 and p99 in µs.
    """
    latencies: list[float] = []
    ended = time.perf_counter() + seconds

    def ask() -> None:
        with triton.InferenceServerClient(f"{HOST}:{port}") as client:
            tensor = triton.InferInput("float_input", list(values.shape), "FP32")
            tensor.set_data_from_numpy(values)
            while (begun := time.perf_counter()) < ended:
                client.infer("wine", [tensor])
                latencies.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50_us, p99_us = np.percentile(latencies, [50, 99]) * 1e6
    return len(latencies) / seconds, float(p50_us), float(p99_us)
