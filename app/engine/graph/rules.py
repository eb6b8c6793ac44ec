"""What an operator makes of what is known of its operands.

A rule gives a fact about the node's first output, or None: a mere value. An operator without a
rule makes mere values. Where ranks matter, rules are of `[b, C]`: that an output is of that rank,
and that probabilities lie between 0 and 1, is found by the trial run (`app/engine/roles.py`).
"""

from collections.abc import Callable

from msgspec.structs import replace
from onnx import NodeProto, TensorProto, numpy_helper

from app.engine.graph.classifiers import classes_of
from app.engine.graph.facts import PASSING, Decision, Fact, Tensors
from app.engine.graph.nodes import attribute, title
from app.engine.graph.report import Classes

Rule = Callable[[NodeProto, Tensors], Fact | None]

FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}

LAST = (1, -1)
"""The axis of the columns."""

NUMBERS = ("probability", "score", "distance")


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


def softmax(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Probabilities of which one column is true."""
    if attribute(node, "axis", -1) not in LAST:
        return None
    return Fact("probability", title(node), exclusive=True, mass=1.0)


def log_softmax(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Their logarithms."""
    if attribute(node, "axis", -1) not in LAST:
        return None
    return Fact("score", title(node), exclusive=True)


def sigmoid(node: NodeProto, tensors: Tensors) -> Fact | None:
    """A probability in each column by itself."""
    return Fact("probability", title(node), mass=1.0)


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


def normalised(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Probabilities that are made to come to 1."""
    fact = tensors.fact(node)
    norm = attribute(node, "norm", "MAX") if node.op_type == "Normalizer" else attribute(node, "p")
    if fact is None or fact.kind != "probability" or norm not in ("L1", 1):
        return None
    return replace(fact, exclusive=True, mass=1.0)


def zipped(node: NodeProto, tensors: Tensors) -> Fact | None:
    """ZipMap: columns with the names of classes; probabilities unless something else is known."""
    fact = tensors.fact(node) or Fact("probability", title(node), exclusive=True, mass=1.0)
    classes = classes_of(node)
    return replace(fact, classes=None if classes is None else sorted(classes))


def averaged(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Mean over estimators: of probabilities it is one."""
    fact = tensors.fact(node)
    return fact if fact is not None and fact.kind == "probability" else arithmetic(node, tensors)


def arithmetic(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Numbers of scores are scores; of labels alone, labels."""
    free = [name for name in node.input if name and name not in tensors.known]
    facts = [tensors.facts.get(name) for name in free]
    if any(each is not None and each.kind in NUMBERS for each in facts):
        return Fact("score", title(node))
    if facts and facts[0] is not None and all(each is not None for each in facts):
        return replace(facts[0], classes=[])
    return None


def added(node: NodeProto, tensors: Tensors) -> Fact | None:
    """A sum of probabilities, on the way to their mean."""
    facts = [tensors.facts.get(name) for name in node.input]
    probabilities = [each for each in facts if each is not None and each.kind == "probability"]
    if len(probabilities) != len(facts):
        return arithmetic(node, tensors)
    mass = sum(each.mass for each in probabilities)
    mass /= len(facts) if node.op_type == "Mean" else 1
    exclusive = all(each.exclusive for each in probabilities)
    return Fact("probability", title(node), exclusive=exclusive, mass=mass)


def multiplied(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Probabilities times a number, or by it: what their columns come to changes."""
    for place in (0, 1):
        fact, number = tensors.fact(node, place), tensors.number(node.input[1 - place])
        if fact is not None and fact.kind == "probability" and number and number > 0:
            if node.op_type == "Div" and place == 0:
                return replace(fact, mass=fact.mass / number)
            if node.op_type == "Mul":
                return replace(fact, mass=fact.mass * number)
    return arithmetic(node, tensors)


def divided(node: NodeProto, tensors: Tensors) -> Fact | None:
    """By its own sum it comes to 1; 1 by 1 + exp(-x) is a sigmoid."""
    part, whole = node.input
    if tensors.number(part) == 1 and _is_one_and_exp(whole, tensors):
        return sigmoid(node, tensors)
    if whole not in tensors.known and _sums(whole, part, tensors):
        return Fact("probability", title(node), exclusive=True, mass=1.0)
    return multiplied(node, tensors)


def inverted(node: NodeProto, tensors: Tensors) -> Fact | None:
    """The same sigmoid, written otherwise."""
    if _is_one_and_exp(node.input[0], tensors):
        return sigmoid(node, tensors)
    return arithmetic(node, tensors)


def _is_one_and_exp(name: str, tensors: Tensors) -> bool:
    added = tensors.made_by(name, "Add")
    if added is None:
        return False
    ones = [each for each in added.input if tensors.number(each) == 1]
    others = [each for each in added.input if tensors.made_by(each, "Exp")]
    return bool(ones and others)


def _sums(whole: str, part: str, tensors: Tensors) -> bool:
    """Whether it is the sum over the columns of the part; sums of 0 may be guarded against."""
    columns = tensors.columns_of(part)
    for name in tensors.columns_of(whole):
        node = tensors.producers[name]
        if node.op_type == "ReduceSum" and columns & tensors.columns_of(node.input[0]):
            axes = attribute(node, "axes") or tensors.table(node.input[1])
            return axes is not None and list(axes) in ([1], [-1])
    return False


def subtracted(node: NodeProto, tensors: Tensors) -> Fact | None:
    """1 - p is a probability; x - log(sum(exp(x))) is the logarithm of one."""
    fact = tensors.fact(node, 1)
    if fact is not None and fact.mass == 1 and tensors.number(node.input[0]) == 1:
        return replace(fact, node=title(node), classes=None, exclusive=False)
    total = tensors.made_by(node.input[1], "ReduceLogSumExp")
    if total is not None and total.input[0] == node.input[0]:
        return Fact("score", title(node), exclusive=True)
    return arithmetic(node, tensors)


def raised(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Exp of the logarithms of probabilities."""
    fact = tensors.fact(node)
    if fact is None or not (fact.kind == "score" and fact.exclusive and fact.classes is None):
        return arithmetic(node, tensors)
    return Fact("probability", title(node), exclusive=True, mass=1.0)


RULES: dict[str, Rule] = {
    **dict.fromkeys(PASSING, passed),
    **dict.fromkeys(("Softmax", "QLinearSoftmax"), softmax),
    **dict.fromkeys(("Sigmoid", "QLinearSigmoid"), sigmoid),
    **dict.fromkeys(("ArgMax", "ArgMin"), extreme),
    **dict.fromkeys(
        ("Binarizer", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Sign"), threshold
    ),
    **dict.fromkeys(("ArrayFeatureExtractor", "Gather"), picked),
    **dict.fromkeys(("LpNormalization", "Normalizer"), normalised),
    **dict.fromkeys(("Add", "Mean", "Sum"), added),
    **dict.fromkeys(("Abs", "Log", "Max", "Min", "Neg", "Pow", "Sqrt"), arithmetic),
    "Cast": cast,
    "Concat": concatenated,
    "Div": divided,
    "Exp": raised,
    "LabelEncoder": encoded,
    "LogSoftmax": log_softmax,
    "Mul": multiplied,
    "Not": passed,
    "Reciprocal": inverted,
    "ReduceMean": averaged,
    "Slice": columns_cut,
    "Sub": subtracted,
    "Transpose": transpose,
    "ZipMap": zipped,
}
