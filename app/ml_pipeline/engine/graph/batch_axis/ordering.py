"""A sort of the rows that is undone.

PyTorch packs sequences longest first: it sorts the rows by their lengths, runs a recurrent network,
and puts its outputs back. Between the two every tensor has all rows in the same other order, and
each row still stays apart. An order has the name of the tensor that holds the rows' numbers in it.
"""

from dataclasses import replace

from ml_pipeline.engine.graph.batch_axis.step import Step
from ml_pipeline.engine.graph.batch_axis.value import BATCHES, Mixed, Rows, Value

KEEP_NUMBERS = {"Cast", "Identity"}


def common(step: Step) -> str | None:
    """The order that the rows of all operands have; None if it makes no difference to any.

    Raises:
        Mixed: They have several.
    """
    orders = {value.order for _, value, _ in step.with_rows if value.order is not None}
    if len(orders) > 1:
        raise Mixed("has rows in two orders")
    return orders.pop() if orders else None


def follow(step: Step) -> list[Value] | None:
    """Follow a node that sorts rows, or puts them back; None if it does neither.

    Raises:
        Mixed: It does something else with the numbers of sorted rows.
    """
    numbers = {value.numbers for _, value, _ in step.with_rows}
    if step.operator == "TopK" and _takes_all_rows(step):
        return _sorted(step)
    if not numbers & {"sorted", "back"}:
        return None
    first, by = step.x, step.may_be_at(1)
    if step.operator in KEEP_NUMBERS:
        kept = replace(step.results[0], rows=first.rows, numbers=first.numbers)
        return [replace(kept, order=first.order, sort=first.sort)]
    if step.operator == "ScatterElements" and _inverts(step):
        assert by is not None
        return [_numbers(step.results[0], "back", by.sort, "")]
    if step.operator == "Gather" and not first.numbers and by is not None and _at_rows(step):
        before, after = ("", by.sort) if by.numbers == "sorted" else (by.sort, "")
        if first.order == before:
            return [replace(step.results[0], rows=first.rows, order=after)]
    raise Mixed("computes with the numbers of the rows")


def _takes_all_rows(step: Step) -> bool:
    count = step.may_be_at(1)
    if step.x.rows != Rows(0) or step.x.rank != 1 or count is None or count.data is None:
        return False
    return [int(k.reshape(-1)[0]) for k in count.data] == list(BATCHES)


def _sorted(step: Step) -> list[Value]:
    """Values and numbers of sorted rows; the numbers of a sort, sorted, put rows back."""
    x, (values, numbers) = step.x, step.results
    if x.numbers == "sorted" and not step.attribute("largest", 1):
        return [
            replace(values, rows=Rows(0), numbers="each"),
            _numbers(numbers, "back", x.sort, ""),
        ]
    if x.numbers or x.order != "":
        raise Mixed("orders or adds up rows of the batch")
    order = step.node.output[1] or step.node.output[0]
    return [
        replace(values, rows=Rows(0), order=order),
        _numbers(numbers, "sorted", order, order),
    ]


def _inverts(step: Step) -> bool:
    """Whether it writes the places 0, 1, 2 … to where the numbers of a sort point."""
    into, by, places = (step.at(place) for place in range(3))
    along_rows = not step.attribute("axis", 0) and into.rows == by.rows == places.rows == Rows(0)
    return along_rows and into.order is None and by.numbers == "sorted" and places.numbers == "each"


def _at_rows(step: Step) -> bool:
    return not step.attribute("axis", 0) and step.x.rows == step.rows_at(1) == Rows(0)


def _numbers(value: Value, kind: str, sort: str, order: str) -> Value:
    return replace(value, rows=Rows(0), numbers=kind, sort=sort, order=order)  # type: ignore[arg-type]
