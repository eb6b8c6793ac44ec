"""A loaded model answers as ONNX Runtime does, says what it is, and stays open while it is held."""

import asyncio
import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.engine.wire.codec import WireFormat
from ml_pipeline.errors import InferenceError, InvalidInput, ModelLoadError
from ml_pipeline.settings import BUNDLED_MODELS
from tests.conftest import LoadModel, Serve, Served, WriteModel
from tests.models import (
    ONNX_TYPES,
    Array,
    cast_model,
    labelled_model,
    loop_model,
    network_model,
    probabilities_model,
    random_model,
    reference,
    scale_model,
    sequence_model,
    sklearn_classifier,
    sklearn_integer_classifier,
    sklearn_regressor,
    sklearn_words,
    two_input_model,
    words_model,
)

NUMBERS = [dtype for dtype in ONNX_TYPES if dtype != "str"]
ROWS = np.random.default_rng(1).standard_normal((7, 4)).astype(np.float32) * 3
WORDS = np.array([["a", "x"], ["c", "y"], ["", "é"]], dtype=object)

wire_formats = pytest.mark.parametrize("wire_format", WireFormat, ids=lambda form: form.name)


class Case(NamedTuple):
    """A model whose first output is the answer, and rows for it."""

    make: Callable[[], bytes]
    input_name: str
    rows: Array


def numbers(dtype: str) -> Array:
    """Rows that every type of number can hold."""
    return np.array([[0, 1, 1], [1, 0, 1]], dtype)


def assert_same(actual: Array, expected: Array) -> None:
    """Compare floats within 1e-5, anything else exactly."""
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
    else:
        assert actual.tolist() == expected.tolist()


cases = pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(sklearn_classifier, "float_input", ROWS), id="zipmap"),
        pytest.param(
            Case(lambda: sklearn_classifier(("no", "yes")), "float_input", ROWS),
            id="zipmap-of-words",
        ),
        pytest.param(
            Case(lambda: sklearn_classifier(zipmap=False), "float_input", ROWS), id="arrays"
        ),
        pytest.param(
            Case(sklearn_integer_classifier, "int_input", ROWS.astype(np.int64)), id="integers"
        ),
        pytest.param(Case(sklearn_regressor, "input", ROWS), id="regressor"),
        pytest.param(Case(lambda: sklearn_regressor(3), "input", ROWS), id="three-targets"),
        pytest.param(
            Case(lambda: sklearn_regressor(dtype="float64"), "input", ROWS.astype(np.float64)),
            id="doubles",
        ),
        pytest.param(Case(sklearn_words, "words", WORDS), id="one-hot"),
        pytest.param(Case(words_model, "words", WORDS), id="codes"),
        pytest.param(Case(lambda: scale_model(shape=[None]), "x", ROWS[:, 0]), id="rank-1"),
        pytest.param(
            Case(lambda: scale_model(shape=[None, 2, 2]), "x", ROWS.reshape(-1, 2, 2)), id="rank-3"
        ),
        *(
            pytest.param(Case(partial(cast_model, dtype), "x", numbers(dtype)), id=dtype)
            for dtype in NUMBERS
        ),
    ],
)


@cases
@wire_formats
async def test_predictions_equal_onnx_runtimes(
    case: Case, wire_format: WireFormat, write_model: WriteModel, serve: Serve
) -> None:
    """The first output comes back as ONNX Runtime gives it, a lone column as a list."""
    path = write_model(case.make())
    expected = reference(path, {case.input_name: case.rows})[0]
    served = await serve(path)

    reply = await served.ask(case.rows, wire_format=wire_format)

    assert_same(reply.predictions, expected[:, 0] if expected.shape[1:] == (1,) else expected)


@cases
async def test_sample_rows_are_rows_the_model_takes(
    case: Case, write_model: WriteModel, serve: Serve
) -> None:
    """What a model offers as its sample, sent as it is, gets an answer for each row."""
    served = await serve(write_model(case.make()))
    sample = served.repository.get(None).sample_rows

    reply = await served.ask(sample)

    assert len(reply.predictions) == len(sample) > 0


@pytest.mark.parametrize("labels", [(0, 1, 2), (1, 2, 3), ("no", "perhaps", "yes")])
@wire_formats
async def test_zipmap_comes_as_rows_of_probabilities(
    labels: tuple[int | str, ...], wire_format: WireFormat, write_model: WriteModel, serve: Serve
) -> None:
    """Probabilities of a default classifier are `[b, C]`, the values of its dicts in order."""
    path = write_model(sklearn_classifier(labels))
    dicts = reference(path, {"float_input": ROWS})[1]
    served = await serve(path)

    reply = await served.ask(ROWS, wire_format=wire_format)

    expected = [[row[label] for label in labels] for row in dicts]
    np.testing.assert_allclose(reply.probabilities, expected, atol=1e-5)


@wire_formats
async def test_probability_array_comes_as_it_is(
    wire_format: WireFormat, write_model: WriteModel, serve: Serve
) -> None:
    """Probabilities of a classifier without ZipMap are those of its second output."""
    path = write_model(sklearn_classifier(zipmap=False))
    expected = reference(path, {"float_input": ROWS})[1]
    served = await serve(path)

    reply = await served.ask(ROWS, wire_format=wire_format)

    np.testing.assert_allclose(reply.probabilities, expected, atol=1e-5)


async def test_labels_that_are_words_are_given_as_labels(
    write_model: WriteModel, serve: Serve
) -> None:
    """A classifier of words needs no metadata to name its classes."""
    served = await serve(write_model(sklearn_classifier(("no", "yes"))))

    reply = await served.ask(ROWS)

    assert reply.answer["labels"] == reply.answer["predictions"]


async def test_classes_without_names_have_no_labels(write_model: WriteModel, serve: Serve) -> None:
    """A classifier of numbers, without metadata, answers `labels` null."""
    served = await serve(write_model(sklearn_classifier()))

    reply = await served.ask(ROWS)

    assert reply.answer["labels"] is None


@pytest.mark.parametrize("zipmap", [True, False], ids=["zipmap", "arrays"])
async def test_class_names_name_the_predictions(
    zipmap: bool, write_model: WriteModel, serve: Serve
) -> None:
    """`class_names` of the metadata name the classes 0, 1, 2 in their order."""
    names = ["low", "middle", "high"]
    path = write_model(sklearn_classifier(zipmap=zipmap), class_names=names)
    expected = reference(path, {"float_input": ROWS})[0]
    served = await serve(path)

    reply = await served.ask(ROWS)

    assert reply.answer["labels"] == [names[label] for label in expected]


@pytest.mark.parametrize(
    ("zipmap", "output_classes"),
    [(True, None), (True, [1, 2, 3]), (False, [1, 2, 3]), (False, 3), (False, None)],
)
async def test_class_names_follow_labels_that_begin_at_one(
    zipmap: bool,
    output_classes: int | list[int] | None,
    write_model: WriteModel,
    serve: Serve,
) -> None:
    """Of labels 1, 2, 3 the first name belongs to 1, whatever other rows a request holds."""
    names = ["low", "middle", "high"]
    path = write_model(
        sklearn_classifier((1, 2, 3), zipmap=zipmap),
        class_names=names,
        output_classes=output_classes,
    )
    expected = reference(path, {"float_input": ROWS})[0]
    served = await serve(path)

    replies = [await served.ask(ROWS[index : index + 1]) for index in range(len(ROWS))]

    labels = [label for reply in replies for label in reply.answer["labels"]]
    assert labels == [names[label - 1] for label in expected]


@pytest.mark.parametrize(
    ("labels", "listed"),
    [
        *[(labels, True) for labels in [(-1, 1), (0, 2, 5), (2, 0, 1)]],
        *[(labels, False) for labels in [(-1, 1), (0, 2, 5), (1, 2, 3)]],
    ],
)
async def test_class_names_follow_labels_of_any_kind(
    labels: tuple[int, ...], listed: bool, write_model: WriteModel, serve: Serve
) -> None:
    """Names go to the right rows where labels have gaps or signs, and where nothing lists them."""
    names = ["low", "middle", "high"][: len(labels)]
    metadata = {"output_classes": list(labels)} if listed else {"sample": ROWS.tolist()}
    path = write_model(labelled_model(labels), class_names=names, **metadata)
    expected = reference(path, {"x": ROWS})[0]
    served = await serve(path)

    replies = [await served.ask(ROWS[index : index + 1]) for index in range(len(ROWS))]

    named = [label for reply in replies for label in reply.answer["labels"]]
    assert named == [names[labels.index(label)] for label in expected]


@wire_formats
@pytest.mark.parametrize("metadata", [{"model_type": "classifier"}, {"class_names": list("abc")}])
async def test_lone_probabilities_of_a_classifier_predict_the_largest(
    metadata: dict[str, object], wire_format: WireFormat, write_model: WriteModel, serve: Serve
) -> None:
    """A lone `[B, C]` output, told to be a classifier's, predicts the largest one's position."""
    path = write_model(probabilities_model(), **metadata)
    expected = reference(path, {"x": ROWS})[0]
    served = await serve(path)

    reply = await served.ask(ROWS, wire_format=wire_format)

    assert reply.predictions.tolist() == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose(reply.probabilities, expected, atol=1e-5)


async def test_a_softmax_needs_no_metadata_to_predict_the_largest(
    write_model: WriteModel, serve: Serve
) -> None:
    """The graph itself says that its columns are probabilities, and that one of them is true."""
    path = write_model(probabilities_model())
    expected = reference(path, {"x": ROWS})[0]
    served = await serve(path)

    reply = await served.ask(ROWS)

    assert reply.predictions.tolist() == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose(reply.probabilities, expected, atol=1e-5)


async def test_lone_output_without_metadata_is_the_prediction(
    write_model: WriteModel, serve: Serve
) -> None:
    """A lone `[B, C]` output that nothing calls a classifier's is answered as values."""
    path = write_model(network_model(num_features=4))
    expected = reference(path, {"x": ROWS})[0]
    served = await serve(path)

    reply = await served.ask(ROWS)

    np.testing.assert_allclose(reply.predictions, expected, atol=1e-5)
    assert reply.answer["probabilities"] is None


@pytest.mark.parametrize("output_classes", [[0, 1, 2], [1, 2, 3], ["x", "y", "z"]])
async def test_names_of_lone_probabilities_go_by_position(
    output_classes: list[int | str], write_model: WriteModel, serve: Serve
) -> None:
    """Where the prediction is a position, its name is the one at that position."""
    names = ["low", "middle", "high"]
    path = write_model(
        probabilities_model(),
        model_type="classifier",
        output_classes=output_classes,
        class_names=names,
    )
    expected = reference(path, {"x": ROWS})[0].argmax(axis=1)
    served = await serve(path)

    replies = [await served.ask(ROWS[index : index + 1]) for index in range(len(ROWS))]

    labels = [label for reply in replies for label in reply.answer["labels"]]
    assert labels == [names[position] for position in expected]


async def test_further_float_outputs_are_not_taken_for_probabilities(
    write_model: WriteModel, serve: Serve
) -> None:
    """The first `[B, C]` output gives the probabilities and the number of classes."""
    path = write_model(labelled_model(), output_classes=3)
    expected = reference(path, {"x": ROWS})
    served = await serve(path)

    reply = await served.ask(ROWS)

    assert reply.predictions.tolist() == expected[0].tolist()
    np.testing.assert_allclose(reply.probabilities, expected[1], atol=1e-5)


async def test_input_without_dimensions_meets_no_foreign_error(
    write_model: WriteModel, serve: Serve
) -> None:
    """A model whose input is one number, or of unknown rank, is served or refused by our errors."""
    path = write_model(scale_model(shape=[]))

    with suppress(InferenceError):
        reply = await (await serve(path)).ask(1.5)

        assert reply.predictions.tolist() == 3.0


@pytest.fixture
async def network(write_model: WriteModel, serve: Serve, pool_mode: EngineOptions) -> Served:
    return await serve(write_model(network_model(64)), pool_mode)


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=20))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_company_does_not_change_an_answer(sizes: list[int], network: Served) -> None:
    """However rows are spread over requests that come together, each gets what it gets alone."""
    rows = np.random.default_rng(sum(sizes)).standard_normal((sum(sizes), 16)).astype(np.float32)
    parts = np.split(rows, np.cumsum(sizes)[:-1])

    replies = await asyncio.gather(*(network.ask(part, use_cache=False) for part in parts))

    expected = reference(network_model(64), {"x": rows})[0]
    answered = np.concatenate([reply.predictions for reply in replies])
    np.testing.assert_allclose(answered, expected, atol=1e-5)


# What it is: identity, digest, cacheability.


def test_same_content_is_the_same_identity(write_model: WriteModel, load: LoadModel) -> None:
    """A file loaded twice makes the same cache keys."""
    path = write_model(scale_model())

    first, second = load(path), load(path)

    assert first.identity == second.identity


def test_new_content_is_another_identity(write_model: WriteModel, load: LoadModel) -> None:
    """One changed weight, and no cached answer is found any more."""
    old = load(write_model(scale_model(2.0)))

    new = load(write_model(scale_model(3.0)))

    assert new.identity != old.identity


@pytest.mark.parametrize(
    "change",
    [{"model_name": "b"}, {"model_version": "2"}, {"class_names": ["x", "z"]}],
    ids=lambda change: next(iter(change)),
)
def test_new_metadata_is_another_identity(
    change: dict[str, object], write_model: WriteModel, load: LoadModel
) -> None:
    """Metadata decides what an answer says, so it is part of the key."""
    metadata = {"model_name": "a", "model_version": "1", "class_names": ["x", "y"]}
    model = probabilities_model(num_classes=2)
    old = load(write_model(model, **metadata))

    new = load(write_model(model, **{**metadata, **change}))

    assert new.identity != old.identity


def test_other_providers_are_another_identity(
    write_model: WriteModel, load: LoadModel, options: EngineOptions
) -> None:
    """Execution providers compute differently, so they are part of the key."""
    path = write_model(scale_model())
    available = ort.get_available_providers()
    if len(available) < 2:
        pytest.skip("this build of ONNX Runtime has one provider")

    one = load(path, msgspec.structs.replace(options, providers=["CPUExecutionProvider"]))
    all_of_them = load(path, msgspec.structs.replace(options, providers=available))

    assert one.identity != all_of_them.identity


def test_metadata_names_the_model(write_model: WriteModel, load: LoadModel) -> None:
    """`model_name` and `model_version` of the metadata stand before those of the file."""
    model = load(write_model(scale_model(), "file", model_name="name", model_version="7"))

    assert (model.name, model.version) == ("name", "7")


@pytest.mark.parametrize(
    ("model", "row", "steady"),
    [
        pytest.param(scale_model(), [1.0, 2.0, 3.0], True, id="by rows"),
        pytest.param(loop_model(), [1], False, id="by values"),
        pytest.param(scale_model(shape=(None, None)), [1.0], False, id="by width"),
        pytest.param(words_model(), ["a", "b"], False, id="by length"),
    ],
)
async def test_only_rows_may_tell_what_a_run_costs(
    write_model: WriteModel, serve: Serve, model: bytes, row: list[Any], steady: bool
) -> None:
    """Where something else does, no run is taken to be short enough for the event loop."""
    served = await serve(write_model(model))

    for _ in range(3):
        await served.ask([row], use_cache=False)

    assert [each.steady for each in served.repository.models] == [steady]
    assert steady or not any(batch.inline for batch in served.batches)


@pytest.mark.parametrize(
    "operator", ["RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"]
)
async def test_random_graphs_are_never_cached(
    operator: str, write_model: WriteModel, serve: Serve
) -> None:
    """Equal requests to a random graph are each computed, and nothing is stored."""
    served = await serve(write_model(random_model(operator)))

    replies = [await served.ask([[1.0, 2.0, 3.0]]) for _ in range(2)]

    assert [reply.timings.cache_state for reply in replies] == ["bypass", "bypass"]
    assert served.cache.statistics().num_entries == 0


async def test_random_graphs_answer_differently(write_model: WriteModel, serve: Serve) -> None:
    """Two equal requests to a random graph, also at once, get two answers."""
    served = await serve(write_model(random_model()))

    replies = await asyncio.gather(*(served.ask([[1.0, 2.0, 3.0]]) for _ in range(2)))

    assert replies[0].answer["predictions"] != replies[1].answer["predictions"]


# Several inputs, and outputs that no answer has room for.


def test_codec_of_several_inputs_names_them(write_model: WriteModel, load: LoadModel) -> None:
    """`POST /predict` fills one input; a model with two says which they are."""
    model = load(write_model(two_input_model()))

    with pytest.raises(InvalidInput, match=r"one input, found 2 .*left, right"):
        _ = model.codec


async def test_request_to_several_inputs_is_refused(write_model: WriteModel, serve: Serve) -> None:
    """A request to a model with two inputs is the client's mistake, told as such."""
    served = await serve(write_model(two_input_model()))

    with pytest.raises(InvalidInput, match="left, right"):
        await served.ask([[1.0, 2.0]])


async def test_several_inputs_run_together(write_model: WriteModel, serve: Serve) -> None:
    """Inside, a unit of work has any number of inputs, and is batched all the same."""
    served = await serve(write_model(two_input_model()))
    model = served.repository.get(None)
    units = [{"left": ROWS[:n, :2], "right": ROWS[:n, 2:]} for n in (1, 2, 3)]

    results = await asyncio.gather(
        *(model.batcher.run(unit, len(unit["left"]), deadline=float("inf")) for unit in units)
    )

    for unit, result in zip(units, results, strict=True):
        np.testing.assert_array_equal(result.outputs[0], unit["left"] + unit["right"])
    assert [record.num_requests for record in served.batches] == [3]


def test_sequence_output_is_refused_by_name(write_model: WriteModel, load: LoadModel) -> None:
    """An output that is neither a tensor nor a ZipMap is named, with its type."""
    path = write_model(sequence_model())

    with pytest.raises(ModelLoadError, match=r"parts: expected .*found seq\(tensor\(float\)\)"):
        load(path)


# Held and let go.


async def is_waiting(task: asyncio.Task[None]) -> bool:
    """Let the loop turn a few times; tell whether the task is still not done."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


async def test_close_waits_for_the_last_holder(write_model: WriteModel, load: LoadModel) -> None:
    """A model is closed when the last of those who hold it has let go, not before."""
    model = load(write_model(scale_model()))

    with model:
        with model:
            closing = asyncio.create_task(model.aclose())
            assert await is_waiting(closing)
        assert await is_waiting(closing)

    await asyncio.wait_for(closing, 5)


async def test_closing_again_is_harmless(write_model: WriteModel, load: LoadModel) -> None:
    """`aclose` of a closed model returns."""
    model = load(write_model(scale_model()))
    await model.aclose()

    await asyncio.wait_for(model.aclose(), 5)

    assert repr(model.batcher) == "<Batcher [0 requests, 0 rows waiting | 0 running]>"


async def test_two_who_close_at_once_both_return(write_model: WriteModel, load: LoadModel) -> None:
    """A reload and a shutdown may close the same model together; neither hangs."""
    model = load(write_model(scale_model()))
    with model:
        closing = [asyncio.create_task(model.aclose()) for _ in range(2)]
        await is_waiting(closing[0])

    done, pending = await asyncio.wait(closing, timeout=1)

    for task in pending:
        task.cancel()
    assert len(done) == 2


def test_repr_tells_who_holds_it(write_model: WriteModel, load: LoadModel) -> None:
    """The state of a model can be read off its repr."""
    model: Model = load(write_model(scale_model()))

    with model:
        text = repr(model)

    assert text.startswith("<Model model/1 [1 users] <Batcher [0 requests, 0 rows waiting")


def test_bundled_model_is_batched_and_cached(load: LoadModel) -> None:
    """The wine model that comes with the server passes its own proof."""
    path: Path = BUNDLED_MODELS / "wine.onnx"

    model = load(path)

    assert (model.batching_reason, model.cacheable) == (None, True)


def test_a_file_replaced_while_it_is_read_is_not_mistaken(
    write_model: WriteModel, load: LoadModel, tmp_path: Path
) -> None:
    """A model answers by the file that its digest is of, or is not loaded."""
    path = write_model(scale_model(0.0))
    factors = {sha256(scale_model(0.0)).hexdigest(): 0.0}
    done = threading.Event()

    def replace() -> None:
        for number in itertools.count(1):
            content = scale_model(float(number))
            factors[sha256(content).hexdigest()] = float(number)
            (tmp_path / "new").write_bytes(content)
            (tmp_path / "new").replace(path)
            if done.wait(0.002):
                return

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(50):
            with suppress(ModelLoadError):
                model = load(path)
                for session in model.pool.sessions:
                    (scaled,) = session.run({"x": np.ones((1, 3), np.float32)})
                    assert scaled[0, 0] == factors[model.digest]
    finally:
        done.set()
        writer.join()
