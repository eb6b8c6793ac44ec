"""What each output of a model is, told by the operator that makes it.

Facts go through the graph in the order of its nodes (`rules.py`): Softmax makes probabilities,
Identity passes on what they are, ArgMax makes labels of them. Then each label is held against the
other outputs: numbers that it was decided by are scores or distances, in the order of its classes.
"""

from msgspec.structs import replace
from onnx import ModelProto, NodeProto, ValueInfoProto

from ml_pipeline.engine.graph.classifiers import label_and_scores
from ml_pipeline.engine.graph.facts import Fact, Tensors
from ml_pipeline.engine.graph.report import Kind, Meaning
from ml_pipeline.engine.graph.rules import FLOATS, RULES

CLASSIFIERS = ("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier")

TOLERANCE = 1e-3
"""By which what columns come to may miss 1: weights of estimators are float32."""


def meanings(model: ModelProto) -> list[Meaning]:
    """Give one an output, in their order. O(nodes), with subgraphs left alone."""
    tensors = Tensors(model)
    for node in model.graph.node:
        _follow(node, tensors)
    labels = {
        place: fact
        for place, output in enumerate(model.graph.output)
        if (fact := tensors.facts.get(output.name)) is not None
        and fact.kind == "label"
        # A mask beside values is one of many things; a label that comes first is the answer.
        and (fact.decision != "threshold" or place == 0)
    }
    names = [output.name for output in model.graph.output]
    return [
        _of_label(output.name, labels[place])
        if place in labels
        else _of_numbers(output, {names[at]: label for at, label in labels.items()}, tensors)
        for place, output in enumerate(model.graph.output)
    ]


def _follow(node: NodeProto, tensors: Tensors) -> None:
    """Note what is known of a node's outputs."""
    if node.op_type in CLASSIFIERS:
        facts: tuple[Fact | None, ...] = label_and_scores(node)
    else:
        rule = RULES.get(node.op_type)
        facts = (None if rule is None else rule(node, tensors),)
    for name, fact in zip(node.output, facts, strict=False):
        if fact is not None:
            tensors.facts[name] = fact


def _of_label(name: str, fact: Fact) -> Meaning:
    return Meaning(name, "label", fact.classes, fact.node)


def _of_numbers(output: ValueInfoProto, labels: dict[str, Fact], tensors: Tensors) -> Meaning:
    """Tell what an output that is no label is; one that decided a label has its classes."""
    own = _by_itself(output.name, tensors.facts.get(output.name))
    if own.kind == "value" and output.type.tensor_type.elem_type not in FLOATS:
        return own
    label_name, label = _decided(output.name, labels, tensors)
    if label is None:
        return own
    kind, node = own.kind, own.node
    if kind == "value":
        kind, node = ("distance" if label.decision == "least" else "score"), label.node
    by_class, classes = _is_by_column(label), own.classes
    if by_class and tensors.producers[output.name].op_type != "ZipMap":
        classes = label.classes or classes  # names that were looked up after the columns were made
    return replace(
        own,
        kind=kind,
        classes=classes,
        node=node,
        by_class=own.by_class or by_class,
        decides=label_name,
    )


def _by_itself(name: str, fact: Fact | None) -> Meaning:
    if fact is None or fact.kind == "label":
        return Meaning(name)
    kind: Kind = fact.kind
    if kind == "probability" and abs(fact.mass - 1) > TOLERANCE:
        kind = "score"
    by_class = kind == "probability" or fact.exclusive or fact.classes is not None
    return Meaning(name, kind, fact.classes, fact.node, fact.exclusive, by_class)


def _decided(
    name: str, labels: dict[str, Fact], tensors: Tensors
) -> tuple[str, Fact] | tuple[str, None]:
    """Find the label that was made of an output's columns."""
    columns = tensors.columns_of(name)
    for label_name, label in labels.items():
        if columns & tensors.columns_of(label.decided_by):
            return label_name, label
    return "", None


def _is_by_column(label: Fact) -> bool:
    """Whether the label is the class of a column; an SVM counts votes of pairs of classes."""
    return label.decision != "threshold" and not label.node.startswith("SVMClassifier")
