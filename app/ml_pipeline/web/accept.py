"""What a client takes, by `Accept` and `Accept-Encoding`: names with weights (RFC 9110, 12.4.2)."""

import re
from collections.abc import Sequence

MAX_NAMES = 64
"""How many names of one header are looked at; browsers send ten."""

UNNAMED = 0.0001
"""Weight of what a header neither names nor refuses: below 0.001, the least that it can give."""

Weights = dict[str, float]
"""By name in lower case, without parameters, in the order of the header."""

_weight = re.compile(r";\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", re.IGNORECASE).search


def read_weights(header: str) -> Weights:
    """Read a header; where it names something twice, the larger weight counts."""
    weights: Weights = {}
    for part in header.split(",", MAX_NAMES)[:MAX_NAMES]:
        name, mark, _ = part.partition(";")
        found = _weight(part) if mark else None
        name, weight = name.strip().lower(), float(found[1]) if found else 1.0
        weights[name] = max(weight, weights.get(name, 0.0))
    return weights


def choose(header: str, offered: Sequence[Sequence[str]], usual: int) -> int:
    """Choose what to send: the index, among what is offered, of what the client gives most weight.

    Of several with that weight it is the one that the header names first.

    Args:
        header: `Accept` of the request.
        offered: Media types, each by all of its names.
        usual: What is sent where the client does not care, or takes nothing of all this: an answer
            that it may not read is better than none (RFC 9110, 12.5.1).
    """
    weights = read_weights(header)

    def rank(index: int) -> tuple[float, int, bool]:
        names = offered[index]
        place = next((place for place, name in enumerate(weights) if name in names), len(weights))
        weight = _weight_of(weights, names)
        return weight, -place if weight else 0, index == usual

    return max(range(len(offered)), key=rank)


def _weight_of(weights: Weights, names: Sequence[str]) -> float:
    """Give the weight of what has these names: by one of them, else by the narrowest range."""
    named = [weights[name] for name in names if name in weights]
    family = names[0].partition("/")[0]
    ranges = [weights[each] for each in (f"{family}/*", "*/*") if each in weights]
    return max(named) if named else [*ranges, UNNAMED][0]
