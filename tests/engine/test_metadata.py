"""Metadata is optional, fills in what the ONNX file leaves open, and never contradicts it."""

from pathlib import Path
from typing import Any

import pytest

from ml_pipeline.engine.signature.metadata import (
    DeclaredMetadata,
    check_classes,
    read_metadata,
    refine,
)
from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.errors import InvalidInput, ModelLoadError
from tests.conftest import LoadModel, Serve, WriteModel
from tests.models import (
    cast_model,
    labelled_model,
    probabilities_model,
    scale_model,
    sklearn_classifier,
    width_free_model,
    words_model,
)

NAMES = ["a", "b", "c", "d", "e"]
ROWS = [[1.0, 2.0, 3.0, 4.0]]


def test_metadata_may_be_missing(write_model: WriteModel, load: LoadModel) -> None:
    """A lone ONNX file is a model, with its file's name and version 1."""
    model = load(write_model(scale_model(), "plain"))

    assert (model.name, model.version, model.metadata) == ("plain", "1", DeclaredMetadata())


def test_empty_metadata_says_nothing(tmp_path: Path) -> None:
    """`{}` is metadata in which everything was left out."""
    path = tmp_path / "model.json"
    path.write_text("{}")

    assert read_metadata(path) == read_metadata(None)


def test_other_keys_are_ignored(tmp_path: Path) -> None:
    """Metadata may hold what this server does not know, of any form."""
    path = tmp_path / "model.json"
    path.write_text('{"model_name": "m", "accuracy": 0.97, "author": {"name": ["x", null]}}')

    assert read_metadata(path) == DeclaredMetadata(model_name="m")


def test_metadata_that_fits_is_taken(write_model: WriteModel, load: LoadModel) -> None:
    """Every field may repeat what the file says."""
    path = write_model(
        sklearn_classifier(zipmap=False),
        model_type="classifier",
        input_shape=[None, 4],
        output_classes=3,
        features=NAMES[:4],
        class_names=NAMES[:3],
        sample=ROWS,
    )

    model = load(path)

    assert model.sample_rows == ROWS
    assert model.inputs[0].shape == (-1, 4)


@pytest.mark.parametrize("batch", [None, -1])
def test_batch_may_be_null_or_minus_one(
    batch: int | None, write_model: WriteModel, load: LoadModel
) -> None:
    """Both spellings of "any number of rows" are read."""
    path = write_model(scale_model(), input_shape=[batch, 3])

    assert load(path).inputs[0].shape == (-1, 3)


# Contradictions: the text names field, expected and found.

contradictions: list[Any] = [
    pytest.param(
        {"input_shape": [None, 4, 1]}, ("input_shape", "expected 2", "found 3"), id="rank"
    ),
    pytest.param(
        {"input_shape": [None, 5]}, ("input_shape[1]", "expected 4", "found 5"), id="size"
    ),
    pytest.param(
        {"features": NAMES[:3]}, ("features", "expected 4", "found 3"), id="features-alone"
    ),
    pytest.param(
        {"features": NAMES[:5], "input_shape": [None, 4]},
        ("features", "expected 4", "found 5"),
        id="features-beside-a-shape",
    ),
    pytest.param(
        {"output_classes": 2}, ("output_classes", "expected 3", "found 2"), id="number-of-classes"
    ),
    pytest.param(
        {"output_classes": [0, 1, 2, 3]}, ("output_classes", "expected 3", "found 4"), id="labels"
    ),
    pytest.param(
        {"class_names": NAMES[:2]}, ("class_names", "expected 3", "found 2"), id="too-few-names"
    ),
    pytest.param(
        {"class_names": NAMES[:5]}, ("class_names", "expected 3", "found 5"), id="too-many-names"
    ),
    pytest.param(
        {"class_names": NAMES[:2], "output_classes": [0, 1, 2]},
        ("class_names", "expected 3", "found 2"),
        id="names-beside-labels",
    ),
    pytest.param(
        {"sample": [[1.0, 2.0]]}, ("sample", "expected 4 features", "found 2"), id="narrow-sample"
    ),
    pytest.param(
        {"sample": [1.0, 2.0, 3.0, 4.0]},
        ("sample", "expected 2 dimensions", "found 1"),
        id="flat-sample",
    ),
    pytest.param({"sample": []}, ("sample", "expected", "found"), id="empty-sample"),
]


@pytest.mark.parametrize(("metadata", "told"), contradictions)
@pytest.mark.parametrize("zipmap", [True, False], ids=["zipmap", "arrays"])
def test_contradiction_is_told_with_field_expected_and_found(
    metadata: dict[str, Any],
    told: tuple[str, ...],
    zipmap: bool,
    write_model: WriteModel,
    load: LoadModel,
) -> None:
    """What file and metadata both say, and say differently, keeps the model from being loaded."""
    path = write_model(sklearn_classifier(zipmap=zipmap), **metadata)

    with pytest.raises(ModelLoadError) as raised:
        load(path)

    assert [part for part in told if part not in raised.value.detail] == []


@pytest.mark.parametrize(
    ("model", "sample"),
    [
        pytest.param(cast_model("float32"), [["a", "b", "c"]], id="words-as-numbers"),
        pytest.param(cast_model("float32"), [["1", "2", "3"]], id="digits-in-quotes"),
        pytest.param(cast_model("float32"), [[1, 2, 3], [4, 5]], id="ragged"),
        pytest.param(cast_model("float32"), [[1e39, 2, 3]], id="too-large"),
        pytest.param(cast_model("float32"), [[1, None, 3]], id="null"),
        pytest.param(cast_model("int64"), [[1.5, 2, 3]], id="fraction-as-integer"),
        pytest.param(cast_model("int8"), [[1, 2, 300]], id="out-of-range"),
        pytest.param(cast_model("bool"), [[1, 0, 7]], id="numbers-as-booleans"),
        pytest.param(words_model(), [[1, 2]], id="numbers-as-words"),
    ],
)
def test_sample_of_another_type_is_refused(
    model: bytes, sample: list[Any], write_model: WriteModel, load: LoadModel
) -> None:
    """Sample rows are of the input's dtype: what `GET /sample` offers, `POST /predict` takes."""
    path = write_model(model, sample=sample)

    with pytest.raises(ModelLoadError, match="sample"):
        load(path)


def test_fixed_first_size_is_no_other_in_metadata(write_model: WriteModel, load: LoadModel) -> None:
    """A file that takes one row at a time contradicts metadata that speaks of two."""
    path = write_model(scale_model(shape=[1, 3]), input_shape=[2, 3])

    with pytest.raises(ModelLoadError, match=r"input_shape\[0\]: expected 1 .*found 2"):
        load(path)


@pytest.mark.parametrize("size", [0, -5])
def test_size_that_no_row_can_have_is_refused(
    size: int, write_model: WriteModel, load: LoadModel
) -> None:
    """A size in `input_shape` is a number from 1 on, or "any"."""
    path = write_model(width_free_model(), input_shape=[None, size])

    with pytest.raises(ModelLoadError, match=r"input_shape"):
        load(path)


def test_labels_of_the_file_are_no_others_in_metadata(
    write_model: WriteModel, load: LoadModel
) -> None:
    """`output_classes` as a list contradicts a ZipMap of other labels."""
    path = write_model(sklearn_classifier((0, 1, 2)), output_classes=[1, 2, 3])

    with pytest.raises(ModelLoadError, match="output_classes"):
        load(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "model_name: m", "[1, 2]", '{"model_name": "m"}}', '"\ud800"', "[" * 5000],
    ids=["empty", "open", "yaml", "list", "trailing", "surrogate", "deep"],
)
def test_what_is_not_a_json_object_is_refused(text: str, tmp_path: Path) -> None:
    """A metadata file that is no JSON object is named in the refusal."""
    path = tmp_path / "metadata.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    with pytest.raises(ModelLoadError, match=r"metadata\.json: "):
        read_metadata(path)


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("model_name", "5", "int"),
        ("model_version", "1.0", "float"),
        ("model_type", "[]", "array"),
        ("input_shape", '"4"', "str"),
        ("input_shape", '[null, "4"]', "str"),
        ("output_classes", "1.5", "float"),
        ("output_classes", "[0.5]", "float"),
        ("features", '"a,b"', "str"),
        ("features", "[1]", "int"),
        ("class_names", "{}", "object"),
        ("class_names", "[null]", "null"),
        ("sample", "1", "int"),
    ],
)
def test_wrong_type_of_a_field_is_told(field: str, value: str, found: str, tmp_path: Path) -> None:
    """A field of a wrong type is named, with what was expected and what was found."""
    path = tmp_path / "model.json"
    path.write_text(f'{{"{field}": {value}}}')

    with pytest.raises(ModelLoadError, match=rf"(?s)Expected .*got `{found}`.*{field}"):
        read_metadata(path)


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("false", False), ('"accept"', "accept")]
)
def test_batching_is_allowed_refused_or_accepted(
    text: str, expected: object, tmp_path: Path
) -> None:
    """Accepted is what depends on neighbours, and is batched all the same."""
    path = tmp_path / "model.json"
    path.write_text(f'{{"batching": {text}}}')

    assert read_metadata(path).batching == expected


def test_unreadable_metadata_is_told(tmp_path: Path) -> None:
    """A metadata path that cannot be read is a load error, not an OSError."""
    with pytest.raises(ModelLoadError, match=tmp_path.name):
        read_metadata(tmp_path)


# What the file leaves open.


@pytest.mark.parametrize(
    "metadata", [{"features": NAMES[:2]}, {"input_shape": [None, 2]}], ids=["features", "shape"]
)
async def test_open_size_is_refined(
    metadata: dict[str, Any], write_model: WriteModel, serve: Serve
) -> None:
    """A number of features that the file leaves open is the metadata's."""
    served = await serve(write_model(width_free_model(), **metadata))

    with pytest.raises(InvalidInput, match="expected 2 features in each row, found 3"):
        await served.ask([[1.0, 2.0, 3.0]])

    assert (await served.ask([[1.0, 2.0]])).predictions.tolist() == [3.0]


def test_refinement_keeps_what_the_file_says() -> None:
    """Only open sizes are filled in, and the first stays open."""
    spec = TensorSpec("x", "float32", (-1, -1, 3, -1))

    refined = refine(spec, DeclaredMetadata(input_shape=[8, 5, -1, None]))

    assert refined.shape == (-1, 5, 3, -1)


def test_features_of_an_input_of_other_rank_are_only_names() -> None:
    """`features` is no shape for an input that is not a table."""
    spec = TensorSpec("x", "float32", (-1, 2, 2))

    assert refine(spec, DeclaredMetadata(features=NAMES)) == spec


# Classes.


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (DeclaredMetadata(), None),
        (DeclaredMetadata(output_classes=3), 3),
        (DeclaredMetadata(output_classes=["x", "y"]), 2),
        (DeclaredMetadata(class_names=NAMES), 5),
        (DeclaredMetadata(output_classes=0, class_names=NAMES), 0),
    ],
)
def test_number_of_classes(metadata: DeclaredMetadata, expected: int | None) -> None:
    """`output_classes` counts the classes, and where it is left out `class_names` does."""
    assert metadata.num_classes == expected


def test_classes_that_agree_are_no_error() -> None:
    """Metadata that says nothing of classes, or the right number, passes."""
    check_classes(DeclaredMetadata(), 3)
    check_classes(DeclaredMetadata(output_classes=3, class_names=NAMES[:3]), 3)


def test_classes_of_a_lone_output_are_checked(write_model: WriteModel, load: LoadModel) -> None:
    """`class_names` make a lone `[B, C]` output a classifier's, and have to fit it."""
    path = write_model(probabilities_model(num_classes=3), class_names=NAMES[:2])

    with pytest.raises(ModelLoadError, match="class_names: number of names: expected 3"):
        load(path)


def test_classes_are_counted_in_the_probabilities(write_model: WriteModel, load: LoadModel) -> None:
    """A further output of another width has no say in the number of classes."""
    path = write_model(labelled_model(), class_names=NAMES[:3])

    assert load(path).metadata.num_classes == 3
