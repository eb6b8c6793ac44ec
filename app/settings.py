"""Settings: read once from the environment, all faults told at once.

A field is a setting: its name in upper case is the variable, the unit is in the name, and its
`Meta` is its documentation; the README's table is printed by `settings_table()`. An empty variable
counts as unset.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Meta

BUNDLED_MODELS = Path(__file__).parent / "models"


class SettingsError(Exception):
    """The environment cannot be used; the text lists every fault, a line each."""


class Settings(msgspec.Struct, frozen=True):
    """What an operator may choose."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="Port to listen on.")] = 8000
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Host names that requests may name, comma-separated, `*` = any; "
            "empty = loopback's if HOST is loopback, else any."
        ),
    ] = ()
    model_path: Annotated[
        str, Meta(description="ONNX file, or folder of models; empty = the bundled wine model.")
    ] = str(BUNDLED_MODELS)
    model_name: Annotated[
        str,
        Meta(description="Name of the only model; empty = as its file or metadata says."),
    ] = ""
    env: Annotated[
        Literal["production", "development"] | None,
        Meta(
            description="`production` logs JSON lines, `development` lines for people; "
            "unset = for people on a terminal, else JSON."
        ),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level logged.")
    ] = "info"
    access_log: Annotated[
        Literal["all", "errors", "off"],
        Meta(description="Which requests are logged; `errors` = answers of 400 and above."),
    ] = "errors"
    slow_request_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=86_400_000,
            description="A request that takes longer leaves a line that says where its time went; "
            "0 = off.",
        ),
    ] = 1000
    otel_exporter_otlp_endpoint: Annotated[
        str,
        Meta(
            description="Address of an OpenTelemetry collector, such as "
            "`http://collector:4318`: each request becomes a span there; empty = off."
        ),
    ] = ""
    max_body_bytes: Annotated[
        int,
        Meta(ge=1024, le=2**31, description="Largest request body; more is refused while reading."),
    ] = 16 * 1024 * 1024
    max_inflated_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=2**31,
            description="Largest request body once it is decompressed; 0 = `MAX_BODY_BYTES`.",
        ),
    ] = 0
    max_rows: Annotated[int, Meta(ge=1, le=10**7, description="Most rows in one request.")] = 10_000
    request_timeout_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=86_400_000,
            description="A request that waits longer for its run is answered 504.",
        ),
    ] = 30_000
    sessions: Annotated[
        int, Meta(ge=0, le=256, description="ONNX Runtime sessions; 0 = one a usable core.")
    ] = 0
    ort_providers: Annotated[
        tuple[str, ...],
        Meta(description="Execution providers in order of preference, comma-separated."),
    ] = ("CPUExecutionProvider",)
    share_weights_above_mb: Annotated[
        int,
        Meta(
            ge=0,
            le=10**6,
            description="Models with larger files, weights included, are loaded once for all "
            "sessions.",
        ),
    ] = 100
    load_timeout_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=86_400,
            description="Longest that loading one model may take; then the start, or the reload, "
            "is refused.",
        ),
    ] = 300
    custom_ops: Annotated[
        tuple[str, ...],
        Meta(
            description="Libraries of further operators, by their paths, comma-separated; "
            "`onnxruntime-extensions` = that package's."
        ),
    ] = ()
    max_batch_size: Annotated[
        int, Meta(ge=1, le=65536, description="Rows in one run at most; 1 = no batching.")
    ] = 1024
    max_queue_size: Annotated[
        int, Meta(ge=1, le=10**9, description="Rows that may wait for a run; beyond it 503.")
    ] = 10_000
    max_queue_delay_us: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Wait of a first row for company; 0 = never.")
    ] = 0
    inline_budget_us: Annotated[
        int,
        Meta(
            ge=0,
            le=10**9,
            description="Runs predicted to be shorter need no thread; 0 = always one.",
        ),
    ] = 200
    cache_max_mb: Annotated[
        int,
        Meta(ge=0, le=10**6, description="Memory for cached answers in this process; 0 = none."),
    ] = 16
    cache_policy: Annotated[
        Literal["auto", "always", "off"],
        Meta(
            description="`auto` asks Redis less while it rarely finds and is slower than the "
            "model; `off` = no cache."
        ),
    ] = "auto"
    cache_ttl_seconds: Annotated[
        int,
        Meta(
            ge=1, le=10**8, description="Lifetime of a cached answer when the request names none."
        ),
    ] = 3600
    cache_ttl_max_seconds: Annotated[
        int,
        Meta(ge=1, le=10**8, description="Longest lifetime of a cached answer, whoever asks."),
    ] = 86_400
    redis_url: Annotated[
        str,
        Meta(
            description="`redis://`, `rediss://` or `unix://`: shares answers and reloads between "
            "replicas; empty = not."
        ),
    ] = ""
    redis_timeout_ms: Annotated[
        int,
        Meta(ge=1, le=60_000, description="Longest wait for Redis; then it counts as not found."),
    ] = 20
    cors_origins: Annotated[
        tuple[str, ...],
        Meta(description="Web origins that may call from a browser, comma-separated; `*` = any."),
    ] = ()
    admin_token: Annotated[
        str,
        Meta(
            description="Admin routes ask for it as `Authorization: Bearer`; empty = closed in "
            "production, else for loopback alone."
        ),
    ] = ""
    api_keys_file: Annotated[
        str,
        Meta(
            description="File of API keys, `NAME SHA256HEX` a line, read again when it changes; "
            "empty = predictions are open."
        ),
    ] = ""
    drain_timeout_seconds: Annotated[
        int, Meta(ge=0, le=3600, description="After SIGTERM, longest wait for requests under way.")
    ] = 10
    hang_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=3600,
            description="A process that answers nobody for so long is ended, by another that "
            "watches it, to be started anew; 0 = never.",
        ),
    ] = 0


_hints = get_type_hints(Settings, include_extras=True)


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from an environment.

    Raises:
        SettingsError: Lists every bad value and every misspelt name.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field, annotation in _hints.items():
        variable = field.upper()
        text = environ.get(variable, "").strip()
        if not text:
            continue
        kind = get_args(annotation)[0]
        if kind is int and not re.fullmatch(r"[+-]?\d+", text):
            faults.append(f"{variable}={text!r}: expected int")
            continue
        value: Any = text
        if get_origin(kind) is tuple:
            value = [part.strip() for part in text.split(",") if part.strip()]
        if field == "redis_url":  # its value is never repeated: it may hold a password
            faults += _faults_of_redis_url(text)
        if field == "otel_exporter_otlp_endpoint":  # likewise
            faults += _faults_of_collector(text)
        if field == "admin_token":  # likewise
            faults += _faults_of_token(text)
        if field == "allowed_hosts":
            faults += _faults_of_hosts(value)
        try:
            values[field] = msgspec.convert(value, annotation, strict=False)
        except msgspec.ValidationError as error:
            faults.append(f"{variable}={text!r}: {_explain(error, kind)}")
    faults += _misspelt(environ)
    if faults:
        raise SettingsError("; ".join(faults))
    return Settings(**values)


def _faults_of_redis_url(text: str) -> list[str]:
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


def _faults_of_collector(text: str) -> list[str]:
    expected = "OTEL_EXPORTER_OTLP_ENDPOINT: expected http://HOST[:PORT] or https://HOST[:PORT]"
    try:
        url = urlsplit(text)
        found = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        found = False
    return [] if found else [f"{expected}, found something else"]


def _faults_of_token(text: str) -> list[str]:
    """Tell of what no client could send as it is: HTTP has no encoding for the rest."""
    for position, character in enumerate(text, 1):
        if not "!" <= character <= "~":
            kind = "one of another kind" if character > "~" else "a blank"
            return [f"ADMIN_TOKEN: expected visible ASCII characters, found {kind} at {position}"]
    return []


def _faults_of_hosts(names: list[str]) -> list[str]:
    return [
        f"ALLOWED_HOSTS: expected names without scheme and port, such as api.example or [::1], "
        f"found {name[:64]!r}"
        for name in names
        if not re.fullmatch(r"\*|\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+", name)
    ]


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    """Find variables one slip away from a setting; short names are too alike to judge.

    OpenTelemetry reads many that are one slip away from ours, such as those of its metrics.
    """
    known = [field.upper() for field in _hints]
    faults = []
    for name in environ:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
        if close and name not in known and "_" in name and not name.startswith("OTEL_"):
            faults.append(f"{name}: no such setting, did you mean {close[0]}?")
    return faults


def settings_table() -> str:
    """Write the settings as the README's Markdown table."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for field in msgspec.structs.fields(Settings):
        meta = get_args(_hints[field.name])[1]
        lines.append(f"| `{field.name.upper()}` | {_show(field)} | {meta.description} |")
    return "\n".join(lines)


def _show(field: Any) -> str:
    default = field.default
    if field.name == "model_path" or default in (None, (), ""):
        return ""
    return f"`{','.join(default) if isinstance(default, tuple) else default}`"


def _explain(error: msgspec.ValidationError, kind: Any) -> str:
    if words := [word for word in _leaves(kind) if isinstance(word, str)]:
        return f"expected one of {', '.join(words)}"
    text = str(error)
    return text[:1].lower() + text[1:].replace("`", "")


def _leaves(kind: Any) -> list[Any]:
    """List the words of a Literal, also of one that may be None."""
    arguments = get_args(kind)
    return [leaf for argument in arguments for leaf in _leaves(argument)] if arguments else [kind]
