"""Names that models can have: they stand in paths."""

ADDRESSABLE = "expected a name without empty parts, `.` or `..` between its slashes"
"""Proxies and clients write paths with these otherwise, and would ask for another model."""


def is_addressable(name: str) -> bool:
    """Tell whether a name means itself in every path."""
    return not {"", ".", ".."} & set(name.split("/"))
