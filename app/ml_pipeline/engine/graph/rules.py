"""What an operator makes of what is known of its operands.

A rule gives a fact about the node's first output, or None: a mere value. An operator without a
rule makes mere values. Where ranks matter, rules are of `[b, C]`: that an output is of that rank,
and that probabilities lie between 0 and 1, is found by the trial run
(`engine/signature/roles.py`).
"""

from collections.abc import Callable

from msgspec.structs import replace
from onnx import NodeProto, TensorProto, numpy_helper

from ml_pipeline.engine.graph import arithmetic
from ml_pipeline.engine.graph.arithmetic import LAST
from ml_pipeline.engine.graph.classifiers import classes_of
from ml_pipeline.engine.graph.facts import PASSING, Decision, Fact, Tensors
from ml_pipeline.engine.graph.nodes import attribute, title
from ml_pipeline.engine.graph.report import Classes

Rule = Callable[[NodeProto, Tensors], Fact | None]

FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}


def passed(node: NodeProto, tensors: Tensors) -> Fact | None:
    """What the first operand is."""
    return tensors.fact(node)


def cast(node: NodeProto, tensors: Tensors) -> Fact | None:
    """A label stays one in any type; a probability that is no fraction any more does not."""
    fact = tensors.fact(node)
    stays = fact is not None and (fact.kind == "label" or attribute(node, "to") in FLOATS)
    return fact if stays else None


def transpose(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Labels may lie along the other axis; columns that do are none any more."""
    fact = tensors.fact(node)
    return fact if fact is not None and fact.kind == "label" else None


def extreme(node: NodeProto, tensors: Tensors) -> Fact | None:
    """ArgMax or ArgMin of each row: a label."""
    if attribute(node, "axis", 0) not in LAST:
        return None
    decision: Decision = "largest" if node.op_type == "ArgMax" else "least"
    return Fact("label", title(node), decided_by=node.input[0], decision=decision)


def threshold(node: NodeProto, tensors: Tensors) -> Fact | None:
    """A label of each value."""
    free = [name for name in node.input if name and name not in tensors.known]
    if len(free) != 1:
        return None
    classes: Classes | None = [] if node.op_type == "Sign" else None
    return Fact("label", title(node), classes, decided_by=free[0], decision="threshold")


def picked(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Gather and the like: classes looked up by a label, or some columns of many."""
    label, columns = tensors.fact(node, 1), tensors.fact(node, 0)
    if label is not None and label.kind == "label":
        return _looked_up(label, tensors.table(node.input[0]))
    by_column = node.op_type == "ArrayFeatureExtractor" or attribute(node, "axis", 0) in LAST
    if columns is None or node.input[1] not in tensors.known or not by_column:
        return None
    return replace(columns, classes=None, exclusive=False)


def _looked_up(label: Fact, table: list[int | str] | None) -> Fact | None:
    if table is None or not all(isinstance(each, int | str) for each in table):
        return None
    classes = dict(enumerate(table))
    places = classes if label.classes is None else label.classes
    looked_up = [classes.get(place) for place in places if isinstance(place, int)]
    return replace(label, classes=None if None in looked_up else looked_up)


def encoded(node: NodeProto, tensors: Tensors) -> Fact | None:
    """LabelEncoder: other names of the same classes."""
    label = tensors.fact(node)
    if label is None or label.kind != "label":
        return None
    keys, values = _attribute_table(node, "keys"), _attribute_table(node, "values")
    if old := attribute(node, "classes_strings"):
        keys, values = list(range(len(old))), old
    others = dict(zip(keys, values, strict=False))
    classes = [others.get(each) for each in label.classes or range(len(keys))]
    if not all(isinstance(each, int | str) for each in classes):
        return None
    return replace(label, classes=classes)


def _attribute_table(node: NodeProto, name: str) -> list[int | str]:
    if (tensor := attribute(node, f"{name}_tensor")) is not None:
        return [
            value.decode() if isinstance(value, bytes) else value
            for value in numpy_helper.to_array(tensor).ravel().tolist()
        ]
    return attribute(node, f"{name}_int64s") or attribute(node, f"{name}_strings") or []


def columns_cut(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Slice: which columns are left is not followed."""
    fact = tensors.fact(node)
    return None if fact is None else replace(fact, classes=None, exclusive=False)


def concatenated(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Columns beside each other: 1 - p and p, one probability or label for each of several."""
    inputs = list(node.input)
    axis = attribute(node, "axis")
    if axis in LAST and len(inputs) == 2 and _complements(inputs[0], inputs[1], tensors):
        return Fact("probability", title(node), exclusive=True, mass=1.0)
    facts = [tensors.facts.get(name) for name in inputs]
    first = facts[0]
    if first is None or any(each is None or each.kind != first.kind for each in facts):
        return None
    exclusive = axis not in LAST and all(each.exclusive for each in facts if each is not None)
    return replace(first, classes=None, exclusive=exclusive)


def _complements(left: str, right: str, tensors: Tensors) -> bool:
    """Whether one is 1 minus the other."""
    for one, other in ((left, right), (right, left)):
        subtracted = tensors.made_by(one, "Sub")
        if subtracted is not None and subtracted.input[1] == other:
            return tensors.number(subtracted.input[0]) == 1
    return False


def zipped(node: NodeProto, tensors: Tensors) -> Fact | None:
    """ZipMap: columns with the names of classes; probabilities unless something else is known."""
    fact = tensors.fact(node) or Fact("probability", title(node), exclusive=True, mass=1.0)
    classes = classes_of(node)
    return replace(fact, classes=None if classes is None else sorted(classes))


RULES: dict[str, Rule] = {
    **dict.fromkeys(PASSING, passed),
    **dict.fromkeys(("Softmax", "QLinearSoftmax"), arithmetic.softmax),
    **dict.fromkeys(("Sigmoid", "QLinearSigmoid"), arithmetic.sigmoid),
    **dict.fromkeys(("ArgMax", "ArgMin"), extreme),
    **dict.fromkeys(
        ("Binarizer", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Sign"), threshold
    ),
    **dict.fromkeys(("ArrayFeatureExtractor", "Gather"), picked),
    **dict.fromkeys(("LpNormalization", "Normalizer"), arithmetic.normalised),
    **dict.fromkeys(("Add", "Mean", "Sum"), arithmetic.added),
    **dict.fromkeys(("Abs", "Log", "Max", "Min", "Neg", "Pow", "Sqrt"), arithmetic.calculated),
    "Cast": cast,
    "Concat": concatenated,
    "Div": arithmetic.divided,
    "Exp": arithmetic.raised,
    "LabelEncoder": encoded,
    "LogSoftmax": arithmetic.log_softmax,
    "Mul": arithmetic.multiplied,
    "Not": passed,
    "Reciprocal": arithmetic.inverted,
    "ReduceMean": arithmetic.averaged,
    "Slice": columns_cut,
    "Sub": arithmetic.subtracted,
    "Transpose": transpose,
    "ZipMap": zipped,
}
