"""Bodies of `POST /predict/batch` → their members, each still undecoded; large ones in pieces."""

from functools import partial
from typing import Any

import msgspec

from ml_pipeline.engine.signature.schema import MAX_MEMBERS, BatchBody
from ml_pipeline.engine.wire.codec import WireFormat
from ml_pipeline.engine.wire.duplicate_keys import (
    refuse_msgpack_duplicates,
    refuse_outer_json_duplicates,
)
from ml_pipeline.engine.wire.explain import explain_decode_error
from ml_pipeline.engine.wire.json_document import walk_document
from ml_pipeline.engine.wire.json_members import walk_members
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import BodyTooLarge, InvalidInput

MAX_PACKED_BATCH_BYTES = 2_097_152
"""Of MessagePack, which is split in one go: 1.2 ns a byte where each is a number, twice."""

_batch_decoders: dict[WireFormat, Any] = {
    WireFormat.JSON: msgspec.json.Decoder(BatchBody),
    WireFormat.MSGPACK: msgspec.msgpack.Decoder(BatchBody),
}


def decode_batch(
    body: bytes, wire_format: WireFormat, max_members: int = MAX_MEMBERS
) -> list[msgspec.Raw]:
    """Split a `POST /predict/batch` body into its members, each still undecoded.

    Raises:
        MalformedRequest: Not JSON or not MessagePack.
        InvalidInput: `requests` is missing, empty, too long, or no list.
    """
    most = min(max_members, MAX_MEMBERS)
    try:
        members: list[msgspec.Raw] = _batch_decoders[wire_format].decode(body).requests
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        if "of length <=" in str(error):
            raise InvalidInput(f"requests: expected at most {most}, found more") from None
        explain_decode_error(error, body, wire_format.name, BatchBody)
    if len(members) > most:
        raise InvalidInput(f"requests: expected at most {most}, found more")
    if wire_format is WireFormat.JSON:
        refuse_outer_json_duplicates(body)
    else:
        refuse_msgpack_duplicates(body)
    if not members:
        raise InvalidInput("requests: expected at least 1, found 0")
    return members


def decode_batch_in_steps(
    body: bytes, wire_format: WireFormat, max_members: int
) -> Steps[list[msgspec.Raw]]:
    """Split a large one; errors as of `decode_batch`.

    Raises:
        BodyTooLarge: It can be read in one go alone, and would take too long.
    """
    if wire_format is WireFormat.MSGPACK:
        _refuse_long(body)
        return decode_batch(body, wire_format, max_members)
    read = partial(walk_members, most=min(max_members, MAX_MEMBERS))
    decoder = _batch_decoders[wire_format]
    try:
        members, _, beside = yield from walk_document(body, "requests", read, decoder)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        explain_decode_error(error, body, wire_format.name, BatchBody)
    refuse_outer_json_duplicates(beside)
    if not members.raws:
        raise InvalidInput("requests: expected at least 1, found 0")
    return members.raws


def _refuse_long(body: bytes) -> None:
    """Refuse MessagePack that would be read in one go, and for too long.

    Raises:
        BodyTooLarge: Names the bound.
    """
    if len(body) > MAX_PACKED_BATCH_BYTES:
        raise BodyTooLarge(
            f"requests: expected at most {MAX_PACKED_BATCH_BYTES} bytes of MessagePack, found "
            f"{len(body)}"
        )
