"""The Open Inference Protocol: what it costs beside `/predict`, and beside reading the bytes.

One row of ten features, and one image of 600 kB; each as binary tensors and as JSON, cache off. The
echo reads the same body, by an ASGI application on Granian.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import tritonclient.http as triton

from bench import cores as core_division
from bench.harness import SERVE_COMMAND, Server, started
from bench.image_model import SHAPE, write_model
from bench.load import Load
from bench.report import Report, Target, begin, number, parser
from bench.request import HOST, Request, msgpack_request, send_ok
from bench.rounds import Candidate, Results, alternate, cpu, p50, p99, rps
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

ECHO_COMMAND = (sys.executable, "-m", "bench.echo")
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


def of_a_row(server: Server, row: Values, seconds: int) -> list[Candidate]:
    """Return what asks for one row, in order."""
    requests = {
        ROW: msgpack_request(1, SAMPLE_FEATURES, use_cache=False),
        ROW_BINARY: infer_request("wine", "float_input", row, binary=True),
        ROW_JSON: infer_request("wine", "float_input", row, binary=False),
    }
    return [
        Candidate(name, server, Load(request, CONNECTIONS, seconds))
        for name, request in requests.items()
    ]


def of_an_image(echo: Server, images: Server, image: Values, seconds: int) -> list[Candidate]:
    """Return what sends an image, in order."""
    binary = infer_request("image", "image", image, binary=True)
    in_json = infer_request("image", "image", image, binary=False)
    return [
        Candidate(ECHO, echo, Load(binary, CONNECTIONS, seconds)),
        Candidate(IMAGE, images, Load(binary, CONNECTIONS, seconds)),
        Candidate(IMAGE_JSON, images, Load(in_json, JSON_CONNECTIONS, seconds)),
    ]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=5, seconds=2)
    report, arguments = begin("Open Inference Protocol", options)
    cores = core_division.divide()
    random = np.random.default_rng(7)
    row = random.uniform(-1, 1, (1, SAMPLE_FEATURES)).astype(np.float32).round(4)
    image = random.uniform(-1, 1, (1, *SHAPE)).astype(np.float32).round(4)
    image_request = infer_request("image", "image", image, binary=True)
    with ExitStack() as opened:
        path = Path(opened.enter_context(tempfile.TemporaryDirectory())) / "image.onnx"
        write_model(path)
        server = opened.enter_context(
            started("server", [*SERVE_COMMAND, str(SAMPLE_MODEL)], cores=cores.server)
        )
        images = opened.enter_context(
            started("images", [*SERVE_COMMAND, str(path)], cores=cores.server)
        )
        size = len(send_ok(images.port, image_request, cache="bypass").body)
        echo = opened.enter_context(
            started(
                "echo",
                ECHO_COMMAND,
                cores=cores.server,
                environment={"ECHO": "granian", "ANSWER_BYTES": str(size)},
            )
        )
        candidates = [
            *of_a_row(server, row, arguments.seconds),
            *of_an_image(echo, images, image, arguments.seconds),
        ]
        results = alternate(candidates, arguments.rounds, load_cores=cores.load)
        by_client = {
            count: by_tritonclient(server.port, row, count, arguments.seconds) for count in CLIENTS
        }
    describe(report, results, [candidate.label for candidate in candidates])
    report.table(
        ("Triton's client, in threads", "inferences/s", "p50 µs", "p99 µs"),
        [(count, *map(number, found)) for count, found in by_client.items()],
    )
    report.note(
        "RPS, p50, p99: median over rounds; CPU: the quietest round; targets: median of the "
        f"ratios within a round. Closed loop, wrk, {CONNECTIONS} connections, {JSON_CONNECTIONS} "
        f"for the image as JSON; {cores.text}."
    )
    report.raw = {"results": results.raw()}
    report.finish(arguments.json)


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
        own: list[float] = []
        with triton.InferenceServerClient(f"{HOST}:{port}") as client:
            tensor = triton.InferInput("float_input", list(values.shape), "FP32")
            tensor.set_data_from_numpy(values)
            while (begun := time.perf_counter()) < ended:
                client.infer("wine", [tensor])
                own.append(time.perf_counter() - begun)
        latencies.extend(own)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50_us, p99_us = np.percentile(latencies, [50, 99]) * 1e6
    return len(latencies) / seconds, float(p50_us), float(p99_us)


def describe(report: Report, results: Results, labels: list[str]) -> None:
    """Put the tables into the report."""
    report.table(
        ("what", "RPS", "p50 µs", "p99 µs", "CPU µs"),
        [
            (
                name,
                *(number(results.median(name, value)) for value in (rps, p50, p99)),
                number(results.least(name, cpu)),
            )
            for name in labels
        ],
    )
    report.note(f"JSON costs {number(results.ratio(IMAGE_JSON, IMAGE, cpu))} × binary: the image.")
    report.targets(
        [
            Target("row: CPU × /predict", results.ratio(ROW_BINARY, ROW, cpu), 1.3),
            Target("image: CPU × echo", results.ratio(IMAGE, ECHO, cpu), 2.0),
        ]
    )


if __name__ == "__main__":
    main()
