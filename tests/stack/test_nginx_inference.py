"""Clients of the Open Inference Protocol behind Nginx, with and without a folder before it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from tests.stack.native import Stack
from tests.stack.nginx import ask
from tests.web.samples import WINE_ROWS, wine_answers


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One replica, without limits."""
    with Stack(tmp_path_factory.mktemp("stack"), replicas=1, profile="bench") as stack:
        yield stack


@pytest.mark.parametrize("folder", ["", "/api"])
@pytest.mark.parametrize("binary", [False, True])
def test_tritons_client_is_answered(stack: Stack, folder: str, binary: bool) -> None:
    """It knows a host and a port; a folder may be behind them."""
    rows = np.array(WINE_ROWS, np.float32)
    labels, _ = wine_answers(WINE_ROWS)
    with triton.InferenceServerClient(f"127.0.0.1:{stack.port}{folder}") as client:
        tensor = triton.InferInput("float_input", list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows, binary_data=binary)

        assert client.is_server_ready()
        assert client.get_model_metadata("wine")["name"] == "wine"
        assert client.get_inference_statistics("wine")["model_stats"]
        found = client.infer("wine", [tensor]).as_numpy("label")

    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize("folder", ["", "/api"])
def test_slashes_count_as_they_do_without_nginx(stack: Stack, folder: str) -> None:
    """At the end of a path they change nothing; else `/wine` or `wine//x` would mean `wine`."""
    ends = ("", "/", "//", "/versions/1//", "/ready///")
    others = ("//wine", "/%2Fwine", "//wine//", "/wine//ready", "/a%2F%2Fb")
    same = [ask(stack.port, f"{folder}/v2/models/wine{end}").status for end in ends]
    found = [ask(stack.port, f"{folder}/v2/models{other}").status for other in others]

    assert (same, found) == ([200] * len(ends), [404] * len(others))


@pytest.mark.parametrize("path", ["health", "models/info", "sample", "metrics", "models", "v2"])
def test_slashes_at_the_end_change_nothing(stack: Stack, path: str) -> None:
    """Whatever is asked."""
    found = [ask(stack.port, f"/api/{path}{end}").status for end in ("", "/", "//")]

    assert found == [200] * 3


def test_errors_of_nginx_are_the_protocols(stack: Stack) -> None:
    """A body that is too large never reaches a replica."""
    for folder in ("", "/api"):
        answer = stack.client.post(f"{folder}/v2/models/wine/infer", content=b" " * 2_000_000)

        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/json"
        assert list(answer.json()) == ["error"]
        assert "1m" in answer.json()["error"]


def test_limits_tell_the_protocols_clients_when_to_come_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """429 with `Retry-After`, as everywhere, in the protocol's words."""
    with Stack(tmp_path_factory.mktemp("limited"), replicas=1, profile="default") as limited:
        body: dict[str, Any] = {"inputs": []}
        slashes = [limited.client.post("/v2/models/a%2Fb/infer", json=body) for _ in range(20)]
        answers = [limited.client.post("/v2/models/wine/infer", json=body) for _ in range(30)]
        refused = [answer for answer in answers if answer.status_code == 429]

    assert refused
    assert 429 in [answer.status_code for answer in slashes]  # a prediction, whatever the name
    assert list(refused[0].json()) == ["error"]
    assert int(refused[0].headers["retry-after"]) > 0
