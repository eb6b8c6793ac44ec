"""Trains models, converts them, and notes what each library itself says of some rows.

Run as a script, with `.venv/families` to import from and a folder to write into: `NAME.onnx`,
`NAME.json` where there is metadata, and `NAME.npz`, the rows and what is to be answered. An array
that is left out is to be null.
"""

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import skl2onnx
from sklearn import cluster, datasets, ensemble, linear_model, mixture, neural_network, svm
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Array = npt.NDArray[Any]
Expected = dict[str, Array]
"""Fields of an answer by name, those that are not null."""

OPSETS = {"": 17, "ai.onnx.ml": 3}
NUM_ROWS = 64
NUMBERS, WORDS = np.array([10, 20, 30, 40]), np.array(["autumn", "spring", "summer", "winter"])
NAMES = ["first", "second", "third", "fourth"]

X, Y = datasets.make_classification(
    400, 6, n_informative=5, n_redundant=0, n_classes=4, random_state=3
)
X = X.astype(np.float32)  # as the ONNX model will get them
MANY, MANY_Y = datasets.make_multilabel_classification(300, 6, n_classes=3, random_state=3)
MANY = MANY.astype(np.float32)
TEXTS = np.array(
    ["a good film", "bad", "good good film", "bad bad bad bad", "so good", "a very bad film"] * 11
)


def rows_of(num_classes: int, classes: Array = NUMBERS) -> tuple[Array, Array]:
    """Give rows of the first few classes, and their labels."""
    chosen = num_classes > Y
    return X[chosen], classes[Y[chosen]]


def from_sklearn(model: Any, rows: Array, **options: Any) -> bytes:
    """Convert, with arrays for probabilities unless `zipmap` says otherwise."""
    kind = skl2onnx.common.data_types
    typed = kind.StringTensorType([None]) if rows.dtype.kind == "U" else None
    typed = typed or kind.FloatTensorType([None, rows.shape[1]])
    last = getattr(model, "steps", [("", model)])[-1][1]
    by_model = {id(last): {"zipmap": False, **options}} if hasattr(last, "classes_") else {}
    if rows.dtype.kind == "U":
        by_model[TfidfVectorizer] = {"locale": "C"}  # not every machine has en_US
    converted = skl2onnx.convert_sklearn(
        model, initial_types=[("x", typed)], options=by_model, target_opset=OPSETS
    )
    return bytes(converted.SerializeToString())


def from_boosted(convert: str, model: Any, rows: Array) -> bytes:
    """Convert a model of LightGBM or XGBoost."""
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    typed = FloatTensorType([None, rows.shape[1]])
    converted = getattr(onnxmltools, f"convert_{convert}")(
        model, initial_types=[("x", typed)], target_opset=15
    )
    return bytes(converted.SerializeToString())


def from_catboost(model: Any, rows: Array, *, folder: Path) -> bytes:
    """Have CatBoost convert its model itself."""
    path = folder / "catboost.tmp"
    model.save_model(str(path), format="onnx")
    content = path.read_bytes()
    path.unlink()
    return content


class Writer:
    """Writes what is to be served, and what is to be answered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(
        self, name: str, content: bytes, rows: Array, expected: Expected, **metadata: Any
    ) -> None:
        """Write one model."""
        self.folder.joinpath(f"{name}.onnx").write_bytes(content)
        if metadata:
            self.folder.joinpath(f"{name}.json").write_text(json.dumps(metadata))
        cut: dict[str, Any] = {field: values[:NUM_ROWS] for field, values in expected.items()}
        np.savez(self.folder / f"{name}.npz", rows=rows[:NUM_ROWS], **cut)

    def classifier(
        self,
        name: str,
        model: Any,
        rows: Array,
        labels: Array,
        convert: Callable[[Any, Array], bytes] = from_sklearn,
        *,
        numbers: Callable[[Any, Array], Expected] | None = None,
        class_names: list[str] | None = None,
    ) -> None:
        """Train, convert and write a classifier.

        `numbers` gives the probabilities or scores, if it is not `predict_proba`.
        """
        model.fit(rows, labels)
        predictions = np.asarray(model.predict(rows)).reshape(len(rows), -1)
        predictions = predictions[:, 0] if predictions.shape[1] == 1 else predictions
        expected = {"predictions": predictions} | (numbers or probabilities)(model, rows)
        if class_names is not None:
            order = {
                value: name for value, name in zip(np.unique(labels), class_names, strict=True)
            }
            expected["labels"] = np.array([order[value] for value in predictions])
        elif predictions.dtype.kind in "UO":
            predictions = expected["predictions"] = predictions.astype(str)
            expected["labels"] = predictions
        metadata = {} if class_names is None else {"class_names": class_names}
        self.write(name, convert(model, rows), rows, expected, **metadata)


def probabilities(model: Any, rows: Array) -> Expected:
    """What most classifiers have."""
    return {"probabilities": model.predict_proba(rows)}


def of_each(model: Any, rows: Array) -> Expected:
    """Of several labels: how likely each is to be there."""
    return {"probabilities": np.stack([each[:, 1] for each in model.predict_proba(rows)], axis=1)}


def margins(model: Any, rows: Array) -> Expected:
    """What the others have."""
    return {"scores": model.decision_function(rows)}


def both_margins(model: Any, rows: Array) -> Expected:
    """Of two classes the converter gives that of an SVM's first vote, and its opposite."""
    one = model.decision_function(rows)
    return {"scores": np.stack([one, -one], axis=1)}


def write_sklearn(writer: Writer) -> None:
    """Forests, linear models, support vectors, mixtures, networks, text."""
    two, three, four = rows_of(2, WORDS), rows_of(3), rows_of(4)
    add = writer.classifier
    small = {"n_estimators": 5, "random_state": 0}
    add("forest-numbers", ensemble.RandomForestClassifier(**small), *three)
    add("forest-words", ensemble.RandomForestClassifier(**small), *two)
    add("forest-many", ensemble.ExtraTreesClassifier(**small), *four)
    add("forest-multi", ensemble.RandomForestClassifier(**small), MANY, MANY_Y, numbers=of_each)
    add("forest-boosted", ensemble.GradientBoostingClassifier(**small), *three)
    logistic = linear_model.LogisticRegression
    add("linear-logistic", logistic(), *three, partial(from_sklearn, zipmap=True))
    add("linear-words", logistic(), *two)
    add("linear-named", logistic(), *four, class_names=NAMES)
    add("linear-raw", logistic(), *three, partial(from_sklearn, raw_scores=True), numbers=margins)
    ridge = linear_model.RidgeClassifier
    add("linear-ridge", ridge(), *three, numbers=margins)
    add("linear-ridge-named", ridge(), *two, numbers=margins, class_names=NAMES[:2])
    add("linear-perceptron", linear_model.Perceptron(), *three, numbers=margins)
    add("linear-sgd", linear_model.SGDClassifier(loss="log_loss", random_state=0), *three)
    for name, machine in (("svc", svm.SVC), ("nusvc", partial(svm.NuSVC, nu=0.2))):
        add(f"{name}-two", machine(), *two, numbers=both_margins, class_names=NAMES[:2])
        add(f"{name}-two-likely", machine(probability=True, random_state=0), *two)
        add(f"{name}-four-likely", machine(probability=True, random_state=0), *four)
        add(f"{name}-four", machine(), *four, numbers=margins)
    pairs = svm.SVC(decision_function_shape="ovo")
    add("svc-four-pairs", pairs, *four, numbers=margins, class_names=NAMES)
    add("network", neural_network.MLPClassifier((8,), max_iter=60, random_state=0), *two)
    add("network-multi", neural_network.MLPClassifier((8,), max_iter=60, random_state=0),
        MANY, MANY_Y)  # fmt: skip
    text = make_pipeline(TfidfVectorizer(), logistic())
    add("text", text, TEXTS, np.array(["bad" if "bad" in each else "good" for each in TEXTS]))
    add("scaled", make_pipeline(StandardScaler(), logistic()), *two)
    write_unsupervised(writer, three[0])


def write_unsupervised(writer: Writer, rows: Array) -> None:
    """Clusters, a mixture, and a regression."""
    clusters = cluster.KMeans(3, n_init=1, random_state=0).fit(rows)
    found = clusters.predict(rows)
    expected = {
        "predictions": found,
        "scores": clusters.transform(rows),
        "labels": np.array(NAMES)[found],
    }
    content = from_sklearn(clusters, rows)
    writer.write("clusters", content, rows, expected, class_names=NAMES[:3])
    blend = mixture.GaussianMixture(3, random_state=0).fit(rows)
    expected = {"predictions": blend.predict(rows), "probabilities": blend.predict_proba(rows)}
    writer.write("mixture", from_sklearn(blend, rows), rows, expected)
    line = linear_model.LinearRegression().fit(rows, rows.sum(axis=1))
    writer.write("regression", from_sklearn(line, rows), rows, {"predictions": line.predict(rows)})


def write_boosted(writer: Writer) -> None:
    """LightGBM, XGBoost and CatBoost."""
    import catboost
    import lightgbm
    import xgboost

    two, three = rows_of(2, WORDS), rows_of(3)
    counted = rows_of(3, np.arange(4))
    light = partial(lightgbm.LGBMClassifier, n_estimators=4, verbose=-1)
    from_light = partial(from_boosted, "lightgbm")
    writer.classifier("lightgbm-three", light(), *three, from_light)
    writer.classifier("lightgbm-two", light(), *two, from_light)
    extreme = partial(xgboost.XGBClassifier, n_estimators=4)
    from_extreme = partial(from_boosted, "xgboost")
    writer.classifier("xgboost-three", extreme(), *counted, from_extreme, class_names=NAMES[:3])
    writer.classifier("xgboost-two", extreme(), *rows_of(2, np.arange(4)), from_extreme)
    writer.classifier(
        "xgboost-margins", extreme(objective="multi:softmax"), *counted, from_extreme,
        numbers=lambda model, rows: {"scores": model.predict(rows, output_margin=True)},
    )  # fmt: skip
    cat = partial(catboost.CatBoostClassifier, iterations=4, verbose=0, allow_writing_files=False)
    from_cat = partial(from_catboost, folder=writer.folder)
    writer.classifier("catboost-three", cat(), *three, from_cat)
    writer.classifier("catboost-two", cat(), *two, from_cat)
    regression = catboost.CatBoostRegressor(iterations=4, verbose=0, allow_writing_files=False)
    regression.fit(three[0], three[0].sum(axis=1))
    expected = {"predictions": regression.predict(three[0])}
    writer.write("catboost-regression", from_cat(regression, three[0]), three[0], expected)


def write_quantised(writer: Writer) -> None:
    """Networks in int8, of features as far from 0 as salaries are, and in float16."""
    from onnxconverter_common import float16
    from onnxruntime import quantization

    rows, labels = rows_of(4, WORDS)
    far = (rows * 15_000 + 50_000).astype(np.float32)
    network = neural_network.MLPClassifier((32,), max_iter=60, random_state=0)
    plain, made = writer.folder / "plain.tmp", writer.folder / "quantised.tmp"
    scaled = make_pipeline(StandardScaler(), network).fit(far, labels)
    plain.write_bytes(from_sklearn(scaled, far))
    quantization.quantize_dynamic(plain, made)
    write_as_run(writer, "int8-dynamic", made.read_bytes(), far)
    quantization.quantize_static(plain, made, Calibration(far))
    write_as_run(writer, "int8-static", made.read_bytes(), far)
    plain.write_bytes(from_sklearn(network.fit(rows, labels), rows))
    half = float16.convert_float_to_float16(without_casts(plain), keep_io_types=True)
    write_as_run(writer, "float16", half.SerializeToString(), rows)
    plain.unlink()
    made.unlink()


def without_casts(path: Path) -> Any:
    """Read a model, past its Casts to float32: they stay such in the middle of float16."""
    import onnx

    model = onnx.load(path)
    for cast in [node for node in model.graph.node if node.op_type == "Cast"]:
        for node in model.graph.node:
            node.input[:] = [cast.input[0] if x == cast.output[0] else x for x in node.input]
        model.graph.node.remove(cast)
    return model


class Calibration:
    """Rows from which the quantiser learns ranges."""

    def __init__(self, rows: Array) -> None:
        self._rows = iter([{"x": rows}])

    def get_next(self) -> dict[str, Array] | None:
        """Give them once."""
        return next(self._rows, None)

    def __iter__(self) -> Iterator[dict[str, Array]]:
        """All of them."""
        return self._rows


def write_as_run(writer: Writer, name: str, content: bytes, rows: Array) -> None:
    """Expect what ONNX Runtime says of each row alone: no library knows these models."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content)
    alone = [session.run(None, {"x": row[None]}) for row in rows[:NUM_ROWS]]
    labels, likely = (np.concatenate(part) for part in zip(*alone, strict=True))
    labels = labels.astype(str)
    expected = {"predictions": labels, "labels": labels, "probabilities": likely}
    writer.write(name, content, rows, expected)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    writer = Writer(Path(sys.argv[1]))
    write_sklearn(writer)
    write_boosted(writer)
    write_quantised(writer)
