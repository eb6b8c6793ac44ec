"""Hardly ever found, and no faster than computing: then one key in sixteen is asked for."""

import msgspec
import pytest

from ml_pipeline.cache.lookup_policy import SAMPLE, TRUSTED_FROM, WINDOW, LookupPolicy
from tests.fakes import BUDGET

FAR_SECONDS = 0.002
CHEAP = msgspec.structs.replace(BUDGET, compute_seconds=0.001)
COSTLY = msgspec.structs.replace(BUDGET, compute_seconds=0.003)

KEYS = [bytes([first]) * 32 for first in range(256)]


@pytest.fixture
def policy() -> LookupPolicy:
    """A round trip takes 2 ms."""
    return LookupPolicy(lambda: FAR_SECONDS)


def observe(
    policy: LookupPolicy, num_looked: int, num_found: int, group: str = CHEAP.group
) -> None:
    """Look-ups that were made one by one, the found ones last."""
    for number in range(num_looked):
        policy.observe(group, 1, int(number >= num_looked - num_found))


def asked(policy: LookupPolicy) -> list[bytes]:
    """Those of the keys that are asked for where computing is cheap."""
    return [key for key in KEYS if policy.asks(key, CHEAP)]


def test_everything_is_asked_at_first(policy: LookupPolicy) -> None:
    """Of a model that nobody has asked for nothing is known: every key is looked up."""
    assert asked(policy) == KEYS


def test_few_look_ups_are_not_believed(policy: LookupPolicy) -> None:
    """Up to 255 misses in a row change nothing, the 256th does."""
    observe(policy, TRUSTED_FROM - 1, 0)
    before = asked(policy)
    observe(policy, 1, 0)

    assert TRUSTED_FROM == 256
    assert before == KEYS
    assert asked(policy) != KEYS


@pytest.mark.parametrize(("num_found", "sampled"), [(3, True), (4, False)])
def test_sampling_begins_under_one_in_a_hundred(
    num_found: int, sampled: bool, policy: LookupPolicy
) -> None:
    """Of 400 look-ups 3 hits are too few, 4 are enough."""
    policy.observe(CHEAP.group, 400, num_found)

    assert (asked(policy) != KEYS) is sampled


def test_sampling_goes_on_up_to_two_in_a_hundred(policy: LookupPolicy) -> None:
    """Once begun it does not end at the rate at which it would not have begun."""
    policy.observe(CHEAP.group, 1000, 0)

    policy.observe(CHEAP.group, 20, 20)  # 20 of 1020
    before = asked(policy)
    policy.observe(CHEAP.group, 1, 1)  # 21 of 1021

    assert before != KEYS
    assert asked(policy) == KEYS


def test_sampling_once_ended_does_not_begin_at_once(policy: LookupPolicy) -> None:
    """A rate between the two limits leaves things as they are."""
    policy.observe(CHEAP.group, 1000, 0)
    policy.observe(CHEAP.group, 25, 25)

    policy.observe(CHEAP.group, 600, 0)  # 25 of 1625

    assert asked(policy) == KEYS


def test_one_key_in_sixteen_is_sampled(policy: LookupPolicy) -> None:
    """Of all first bytes a sixteenth is asked for."""
    observe(policy, 300, 0)

    assert SAMPLE == 16
    assert len(asked(policy)) == 256 // 16


def test_sample_is_chosen_by_the_key(policy: LookupPolicy) -> None:
    """All replicas sample the same keys, so that they find what others stored."""
    other = LookupPolicy(lambda: FAR_SECONDS)
    observe(policy, 300, 0)
    observe(other, 999, 1)

    assert asked(policy) == asked(other) == asked(policy)


def test_slow_model_always_asks(policy: LookupPolicy) -> None:
    """Where computing takes longer than asking, every key is looked up, however rarely found."""
    observe(policy, 1000, 0)

    assert all(policy.asks(key, COSTLY) for key in KEYS)


def test_round_trip_that_grows_slow_is_avoided() -> None:
    """What a round trip takes is asked anew each time."""
    seconds = 0.002
    policy = LookupPolicy(lambda: seconds)
    observe(policy, 1000, 0)

    before = policy.asks(KEYS[1], COSTLY)
    seconds = 0.004

    assert before
    assert not policy.asks(KEYS[1], COSTLY)


def test_always_asks_for_everything() -> None:
    """With the policy `always` no hit rate is low enough."""
    policy = LookupPolicy(lambda: FAR_SECONDS, always=True)

    observe(policy, 5000, 0)

    assert asked(policy) == KEYS


def test_groups_are_counted_apart(policy: LookupPolicy) -> None:
    """A model whose answers repeat does not suffer from one whose answers do not."""
    observe(policy, 1000, 0, "unique")
    observe(policy, 1000, 500)

    assert asked(policy) == KEYS
    assert not policy.asks(KEYS[1], msgspec.structs.replace(CHEAP, group="unique"))
    assert policy.asks(KEYS[1], msgspec.structs.replace(CHEAP, group="new"))


def test_old_look_ups_are_forgotten(policy: LookupPolicy) -> None:
    """A rate that was good long ago does not make up for one that is bad now."""
    observe(policy, 2 * WINDOW, 100)  # 5 %
    before = asked(policy)

    observe(policy, 3 * WINDOW, 0)  # of all there ever were, 2 %

    assert before == KEYS
    assert asked(policy) != KEYS


def test_change_is_noticed_within_a_window(policy: LookupPolicy) -> None:
    """After endless misses, hits among the sampled ones end the sampling soon."""
    observe(policy, 100_000, 0)

    observe(policy, 100, 50)

    assert asked(policy) == KEYS
