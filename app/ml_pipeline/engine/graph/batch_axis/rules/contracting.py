"""Operators that multiply and add along an axis: products of matrices, convolutions, attention."""

from collections.abc import Sequence
from string import ascii_lowercase

from ml_pipeline.engine.graph.batch_axis.rules.elementwise import aligned
from ml_pipeline.engine.graph.batch_axis.step import Rule, Step
from ml_pipeline.engine.graph.batch_axis.value import Mixed, NotUnderstood, Rows, Value, along

ROW, SUM, COLUMN = "R", "S", "C"
"""Letters of the last axes of a product: `[…, R, S] · […, S, C] = […, R, C]`."""


def contraction(step: Step, places: Sequence[int], letters: Sequence[str], result: str) -> Rows:
    """Where rows are after a product whose axes have letters, as `Einsum` writes them.

    Raises:
        Mixed: The rows' axis is summed over, or meets another one.
    """
    found = set()
    for place, named in zip(places, letters, strict=True):
        if (rows := step.rows_at(place)) is not None:
            found.add((named[rows.axis], rows.moved(0)))
    if len(found) > 1:
        raise Mixed("multiplies rows with rows")
    ((letter, rows),) = found
    if letter not in result:
        raise Mixed("adds up over the batch")
    _check_shared(step, places, letters, letter)
    return rows.moved(result.index(letter))


def _check_shared(step: Step, places: Sequence[int], letters: Sequence[str], letter: str) -> None:
    """Refuse an operand that has the rows' axis and is not of the rows: it differs along them."""
    for place, named in zip(places, letters, strict=True):
        shared = letter in named and step.rows_at(place) is None
        if shared and step.at(place).shape[named.index(letter)] != 1:
            raise Mixed("has a constant along the rows")


def matmul(left: int, right: int) -> Rule:
    """A product of matrices, or of stacks of them; scales and the like are for all rows.

    Args:
        left: Place of the operand.
        right: Likewise.
    """

    def rule(step: Step) -> Sequence[Rows | None]:
        step.only(left, right)
        if step.attribute("transBatchA", 0) or step.attribute("transBatchB", 0):
            raise NotUnderstood("turns a stack of matrices round")
        first = _named(step.at(left).rank, ROW, SUM, bool(step.attribute("transA", 0)))
        second = _named(step.at(right).rank, SUM, COLUMN, bool(step.attribute("transB", 0)))
        stack = max(len(first), len(second)) - 2
        result = ascii_lowercase[25 - stack + 1 : 26] if stack > 0 else ""
        result += ROW * (ROW in first) + COLUMN * (COLUMN in second)
        return step.everywhere(contraction(step, (left, right), (first, second), result))

    return rule


def _named(rank: int, row: str, column: str, transposed: bool) -> str:
    """Letters of an operand; those of a stack count from its end, `… y z`."""
    if rank == 1:
        return SUM
    stack = ascii_lowercase[26 - (rank - 2) :] if rank > 2 else ""
    return stack + (column + row if transposed else row + column)


def gemm(left: int, right: int, bias: int) -> Rule:
    """`A · B + C`, each of two axes; `C` is broadcast.

    Args:
        left: Place of `A`.
        right: Of `B`.
        bias: Of `C`, which may be left out.
    """

    def rule(step: Step) -> Sequence[Rows | None]:
        step.only(left, right, bias)
        first = _named(2, ROW, SUM, bool(step.attribute("transA", 0)))
        second = _named(2, SUM, COLUMN, bool(step.attribute("transB", 0)))
        rows = None
        if step.rows_at(left) is not None or step.rows_at(right) is not None:
            rows = contraction(step, (left, right), (first, second), ROW + COLUMN)
        product = Value(shapes=(step.result_shape(),), rows=rows)
        return [aligned([product, step.may_be_at(bias)], 2)]

    return rule


def einsum(step: Step) -> Sequence[Rows | None]:
    """Axes have letters already."""
    operands, arrow, result = step.attribute("equation").replace(" ", "").partition("->")
    if not arrow:  # letters that are there once, in their order
        once = sorted(each for each in set(operands) - {",", "."} if operands.count(each) == 1)
        result = "..." * ("..." in operands) + "".join(once)
    named = operands.split(",")
    left_out = [step.at(i).rank - len(each.replace("...", "")) for i, each in enumerate(named)]
    letters = [_spelt(each, count) for each, count in zip(named, left_out, strict=True)]
    for place, _, rows in step.with_rows:
        if letters[place].count(letters[place][rows.axis]) > 1:
            raise Mixed("takes a diagonal of the batch")
    return [contraction(step, range(len(letters)), letters, _spelt(result, max(left_out)))]


def _spelt(letters: str, count: int) -> str:
    """Put a digit for each axis that is left out; 0 is the last, as they are broadcast."""
    return letters.replace("...", "9876543210"[10 - count :] if count > 0 else "")


def by_image(*places: int) -> Rule:
    """Rows lie along the first axis of these operands; all others are for every row.

    Convolutions, pools, resizing, classifiers, attention: whatever takes `[B, …]` and works on
    each of the B by itself.
    """

    def rule(step: Step) -> Sequence[Rows | None]:
        step.only(*places)
        found = {rows for _, _, rows in step.with_rows}
        if len(found) > 1:
            raise Mixed("has rows in different places")
        (rows,) = found
        if rows.axis != 0:
            raise Mixed("works across rows that do not lie along its first axis")
        for place in places:
            value = step.may_be_at(place)
            if value is not None and value.rows is None:  # even of one row: nothing is broadcast
                raise Mixed("has a constant along the rows")
        return step.everywhere(rows)

    return rule


def pool(step: Step) -> Sequence[Rows | None]:
    """Works on each channel of each image, so that rows may lie along either axis.

    Places of the largest (output 2) are counted through the whole batch.
    """
    step.only(0)
    rows = step.x.rows
    if rows is None or rows.axis > 1:
        raise Mixed("works across rows that do not lie along its first axes")
    if step.num_outputs > 1 and step.node.output[1]:
        raise Mixed("counts places through all rows")
    return [rows]


def resize(step: Step) -> Sequence[Rows | None]:
    """Scales axes; the rows' by 1, which the sizes show for any number of rows."""
    step.only(0)
    rows, axes = step.x.rows, list(step.attribute("axes") or range(step.x.rank))
    named = [along(axis, step.x.rank) for axis in axes]
    crops = step.attribute("coordinate_transformation_mode") == "tf_crop_and_resize"
    if rows is not None and crops and rows.axis in named:
        start = named.index(rows.axis)
        region = step.constant(1, "roi")
        if region is None or (region[start], region[start + len(named)]) != (0, 1):
            raise Mixed("takes a part of the batch")
    return [rows]


def rotary(step: Step) -> Sequence[Rows | None]:
    """Turns `[B, …]` by tables: one for all places, or for each row where no places are given."""
    tables = () if step.may_be_at(3) is not None else (1, 2)
    return by_image(0, 3, *tables)(step)


def rotary_by_places(step: Step) -> Sequence[Rows | None]:
    """The same by tables for all: from one place on for all rows, or from each row's own.

    (com.microsoft)
    """
    if step.at(1).rank == 1 and step.rows_at(1) is None:
        return by_image(0)(step)
    return by_image(0, 1)(step)


def attention(step: Step) -> Sequence[Rows | None]:
    """Queries, keys, values and what was seen before, `[B, …]`; a mask only of four axes."""
    mask = step.may_be_at(3)
    if mask is not None and mask.rows is not None and mask.rank != 4:
        raise Mixed("takes a mask of all rows")
    return by_image(0, 1, 2, *((3,) if mask is not None and mask.rank == 4 else ()), 4, 5, 6)(step)
