"""Parameters of an Open Inference Protocol request: scalars by name, of which few are known."""

from ml_pipeline.engine.wire.infer_schema import Parameters
from ml_pipeline.errors import InvalidInput

MAX_PRIORITY, MAX_TIMEOUT_US = 2**32 - 1, 2**63 - 1


def flag(parameters: Parameters, name: str, field: str = "parameters") -> bool | None:
    """Read what is true or false; None if it is not said.

    Raises:
        InvalidInput: It is neither.
    """
    value = parameters.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise InvalidInput(f"{field}.{name}: expected true or false, found {_shown(value)}")


def whole_number(
    parameters: Parameters, name: str, most: int, field: str = "parameters"
) -> int | None:
    """Read a number from 0 on; None if it is not said.

    Raises:
        InvalidInput: It is none, or larger than `most`.
    """
    value = parameters.get(name)
    if value is None or (type(value) is int and 0 <= value <= most):
        return value
    raise InvalidInput(f"{field}.{name}: expected a whole number to {most}, found {_shown(value)}")


def timeout_seconds(parameters: Parameters) -> float | None:
    """Read `timeout`: microseconds, 0 for none.

    Raises:
        InvalidInput: It is no number.
    """
    microseconds = whole_number(parameters, "timeout", MAX_TIMEOUT_US)
    return microseconds / 1e6 if microseconds else None


def _shown(value: object) -> str:
    return repr(value)[:24] if isinstance(value, int | float | str) else type(value).__name__
