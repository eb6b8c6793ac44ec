"""What became of a call: told after the fact, to the log and to a trace."""

from collections.abc import Sequence

from ml_pipeline.protocols.base import Call
from ml_pipeline.protocols.predict import PredictCall


def cache_states(calls: Sequence[Call]) -> str:
    """Count the cache states of a batch's members."""
    states: dict[str, int] = {}
    for call in calls:
        states[call.cache_state] = states.get(call.cache_state, 0) + 1
    return ", ".join(f"{state};n={count}" for state, count in sorted(states.items())) or "none"


def describe(call: Call) -> dict[str, str | int]:
    """Tell which model answered, from where, and how many rows there were."""
    members = call.members if isinstance(call, PredictCall) else ()
    return {
        "model": call.model_name or "",
        "version": call.model_version or "",
        "cache": cache_states(members) if members else call.cache_state,
        "rows": call.num_rows + sum(member.num_rows for member in members),
        "batch_rows": max(each.batch_rows for each in (call, *members)),
    }


def phases(call: Call) -> dict[str, float]:
    """Tell where the time went, in the order of time; seconds, those of `Server-Timing`.

    What they leave of the whole is the wait for the body, for an equal request that is under way,
    or for the event loop.
    """
    return {
        "decode": call.decode_seconds,
        "cache": call.cache_seconds,
        "queue": call.queue_seconds,
        "run": call.run_seconds,
        "encode": call.encode_seconds,
    }
