"""What is wrong with a setting's text, where its type does not tell.

No check repeats a value that may hold a password or a token.
"""

import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit


def _redis_url(text: str) -> list[str]:
    """Tell what is wrong with a URL without quoting it."""
    expected = (
        "REDIS_URL: expected redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// or unix://PATH"
    )
    if "sentinel" in text.partition("://")[0].lower():  # several addresses are none to urlsplit
        return [
            f"{expected}, found Sentinels: name an address that follows the master, such as a "
            "service, a virtual address or HAProxy"
        ]
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:  # brackets that do not match, or a port that is no number
        return [f"{expected}, found an address or port that cannot be read"]
    if url.scheme not in ("redis", "rediss", "unix"):
        return [f"{expected}, found another scheme"]
    if url.fragment:
        return [f"{expected}, found a #; in a password it is written %23"]
    if url.scheme == "unix":
        return [] if url.path else [f"{expected}, found no path"]
    if not url.hostname or port == 0:
        return [f"{expected}, found no {'port' if url.hostname else 'host'}"]
    if not re.fullmatch(r"(/\d{0,9})?", url.path):
        return [f"{expected}, found a path that is no database number"]
    options = parse_qsl(url.query, keep_blank_values=True)
    if any(not name.startswith("ssl_") for name, _ in options) or (
        options and url.scheme == "redis"
    ):
        return [f"{expected}, found options other than those of TLS"]
    if not all(value for _, value in options):
        return [f"{expected}, found an option without a value"]
    yes_or_no = dict(options).get("ssl_check_hostname", "true").lower()
    if yes_or_no not in ("true", "false"):
        return [f"{expected}, found an ssl_check_hostname that is neither true nor false"]
    return []


def _collector(text: str) -> list[str]:
    expected = "OTEL_EXPORTER_OTLP_ENDPOINT: expected http://HOST[:PORT] or https://HOST[:PORT]"
    try:
        url = urlsplit(text)
        found = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        found = False
    return [] if found else [f"{expected}, found something else"]


def _token(text: str) -> list[str]:
    """Tell of what no client could send as it is: HTTP has no encoding for the rest."""
    for position, character in enumerate(text, 1):
        if not "!" <= character <= "~":
            kind = "one of another kind" if character > "~" else "a blank"
            return [f"ADMIN_TOKEN: expected visible ASCII characters, found {kind} at {position}"]
    return []


def _hosts(text: str) -> list[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    return [
        f"ALLOWED_HOSTS: expected names without scheme and port, such as api.example or [::1], "
        f"found {name[:64]!r}"
        for name in names
        if not re.fullmatch(r"\*|\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+", name)
    ]


CHECKS: dict[str, Callable[[str], list[str]]] = {
    "redis_url": _redis_url,
    "otel_exporter_otlp_endpoint": _collector,
    "admin_token": _token,
    "allowed_hosts": _hosts,
}
"""By setting: tells every fault of a text."""
