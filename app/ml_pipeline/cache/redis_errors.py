"""What goes wrong with Redis: what it refused, and why it could not be asked."""

from typing import Literal

Kind = Literal["timeout", "connection", "refused", "replica", "misfit"]

REPLICA = (
    "it is a replica, which takes no stores: expected the address of the master, or one that "
    "follows it"
)
CLUSTER = (
    "it is a node of a Redis Cluster, whose keys lie on many: expected a single Redis, or a master "
    "with replicas"
)
SENTINEL = (
    "it is a Sentinel, which keeps no keys: expected the address of the Redis that it watches, or "
    "one that follows it"
)

_kinds: dict[str, Kind] = {
    **dict.fromkeys(("READONLY", "MASTERDOWN"), "replica"),
    **dict.fromkeys(("MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN"), "misfit"),
    **dict.fromkeys(("LOADING", "NOAUTH", "WRONGPASS"), "connection"),
}
"""By the first word of a refusal: what it says of Redis itself, whatever was asked."""

_FULL = "ERR max number of clients"


class RedisFailure(Exception):
    """Redis could not be asked; the text says why and never holds the password.

    Attributes:
        kind: `timeout`, `connection`, `refused`: an error for an answer; `replica`: it may become
            a master; `misfit`: it never will.
    """

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class RefusedReply(Exception):
    """An error that Redis answered; stands in the place of the reply. The text is all of it."""

    @property
    def kind(self) -> Kind:
        """What it says of Redis: `refused` if it is about the command alone."""
        text = str(self)
        if text.startswith(_FULL):
            return "connection"
        return _kinds.get(text.partition(" ")[0], "refused")

    @property
    def reason(self) -> str:
        """In words: what is meant, where Redis cannot be used, else what it said."""
        told = {"replica": REPLICA, "misfit": CLUSTER}
        return told.get(self.kind) or str(self).removeprefix("ERR ")
