"""Settings: every variable is read, every fault is told."""

import re
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import Meta

from ml_pipeline.settings import (
    BUNDLED_MODELS,
    Settings,
    SettingsError,
    load_settings,
    settings_table,
)

FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}
HINTS = get_type_hints(Settings, include_extras=True)


def kind(name: str) -> Any:
    """Type of a setting, without its documentation."""
    return get_args(HINTS[name])[0]


def meta(name: str) -> Meta:
    """Documentation and bounds of a setting."""
    found = get_args(HINTS[name])[1]
    assert isinstance(found, Meta)
    return found


def choices(name: str) -> tuple[str, ...]:
    """Words that a setting may be, if it is one of a few."""
    parts = get_args(kind(name)) if get_origin(kind(name)) is not Literal else (kind(name),)
    return next((get_args(part) for part in parts if get_origin(part) is Literal), ())


def another(name: str) -> tuple[str, Any]:
    """A value other than the default: as a variable, and as read."""
    default = FIELDS[name].default
    if words := choices(name):
        word = next(word for word in words if word != default)
        return word, word
    if kind(name) is bool:
        return str(not default).lower(), not default
    if kind(name) is int:
        number = default - 1 if meta(name).le == default else default + 1
        return str(number), number
    if get_origin(kind(name)) is tuple:
        return "one, two", ("one", "two")
    if name == "otel_exporter_otlp_endpoint":
        return "http://collector:4318", "http://collector:4318"
    if name == "redis_url":
        return "redis://cache:6380/1", "redis://cache:6380/1"
    return "something", "something"


NUMBERS = [name for name in FIELDS if kind(name) is int]
LISTS = [name for name in FIELDS if get_origin(kind(name)) is tuple]
WORDS = [name for name in FIELDS if choices(name)]


def faults(**environ: str) -> str:
    """Load what must be refused, and give the reason."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return str(caught.value)


# Reading.


def test_an_empty_environment_gives_the_defaults() -> None:
    """Without variables every setting has its default."""
    assert load_settings({}) == Settings()


@pytest.mark.parametrize("name", FIELDS)
def test_every_variable_is_read(name: str) -> None:
    """A setting's name in upper case is its variable, and changes this setting alone."""
    text, value = another(name)

    loaded = load_settings({name.upper(): text})

    assert loaded == msgspec.structs.replace(Settings(), **{name: value})


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_counts_as_unset(name: str, text: str) -> None:
    """A variable without content leaves the default."""
    assert load_settings({name.upper(): text}) == Settings()


@pytest.mark.parametrize("name", FIELDS)
def test_lower_case_is_no_variable(name: str) -> None:
    """Only the upper-case name is a variable."""
    assert load_settings({name: another(name)[0]}) == Settings()


def test_other_variables_are_left_alone() -> None:
    """What an environment holds besides is of no interest."""
    environ = {"HOME": "/root", "LANG": "C", "SESSION_MANAGER": "x", "EMPTY": "", "PORTS": "1"}

    assert load_settings(environ) == Settings()


def test_white_space_round_a_value_is_dropped() -> None:
    """A value may have white space round it, as files of variables often do."""
    assert load_settings({"PORT": " 9000\n"}).port == 9000


@pytest.mark.parametrize("name", LISTS)
def test_lists_are_separated_by_commas(name: str) -> None:
    """White space and empty places in a list do not count."""
    loaded = load_settings({name.upper(): " a ,b,, c,"})

    assert getattr(loaded, name) == ("a", "b", "c")


def test_settings_are_frozen() -> None:
    """Nothing changes a setting after it was read."""
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]


def test_the_default_model_is_the_bundled_one() -> None:
    """Without MODEL_PATH the server serves the model that comes with it."""
    assert Settings().model_path == str(BUNDLED_MODELS)
    assert (BUNDLED_MODELS / "wine.onnx").is_file()


# Refusing.


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["ten", "1.5", "0x10", "1_000", "--1", "1 2", "true"])
def test_what_is_no_number_is_refused(name: str, text: str) -> None:
    """A number is written in digits; the reason holds the variable and the value."""
    assert f"{name.upper()}={text!r}: " in faults(**{name.upper(): text})


@pytest.mark.parametrize("name", [name for name in NUMBERS if meta(name).ge is not None])
def test_the_lower_bound_holds(name: str) -> None:
    """The smallest value is taken, one below it is refused with the bound."""
    least = meta(name).ge
    assert least is not None

    reason = faults(**{name.upper(): str(least - 1)})

    assert getattr(load_settings({name.upper(): str(least)}), name) == least
    assert str(least) in reason.partition(": ")[2]


@pytest.mark.parametrize("name", [name for name in NUMBERS if meta(name).le is not None])
def test_the_upper_bound_holds(name: str) -> None:
    """The largest value is taken, one above it is refused with the bound."""
    most = meta(name).le
    assert most is not None

    reason = faults(**{name.upper(): str(most + 1)})

    assert getattr(load_settings({name.upper(): str(most)}), name) == most
    assert str(most) in reason.partition(": ")[2]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_beyond_all_bounds_are_refused(name: str) -> None:
    """No number is so large that it fails later: what 64 bits cannot hold is refused here."""
    assert name.upper() in faults(**{name.upper(): "9" * 30})


@pytest.mark.parametrize("name", WORDS)
def test_other_words_are_refused_with_the_choices(name: str) -> None:
    """A word that is none of a setting's few is told which they are."""
    reason = faults(**{name.upper(): "nonsense"})

    assert f"{name.upper()}='nonsense'" in reason
    for word in choices(name):
        assert word in reason


def test_all_faults_are_told_at_once() -> None:
    """Every bad variable is in the reason, which is one line."""
    reason = faults(PORT="0", MAX_ROWS="many", LOG_LEVEL="loud", MAX_BACTH_SIZE="8", ENV="test")

    for variable in ("PORT='0'", "MAX_ROWS='many'", "LOG_LEVEL='loud'", "MAX_BACTH_SIZE", "ENV="):
        assert variable in reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("MAX_BACTH_SIZE", "MAX_BATCH_SIZE"),
        ("MAX_BATCHSIZE", "MAX_BATCH_SIZE"),
        ("MAX_QUEUE_DELAY_MS", "MAX_QUEUE_DELAY_US"),
        ("CACHE_TTL_SECOND", "CACHE_TTL_SECONDS"),
        ("ORT_PROVIDER", "ORT_PROVIDERS"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("MODEL_PAHT", "MODEL_PATH"),
        ("LOG_LEVELS", "LOG_LEVEL"),
        ("INLINE_BUDGET_MS", "INLINE_BUDGET_US"),
    ],
)
def test_a_typo_is_told_what_was_meant(written: str, meant: str) -> None:
    """A variable that is one slip away from a setting is refused with the right name."""
    assert f"{written}: no such setting, did you mean {meant}?" in faults(**{written: "1"})


# Documentation.


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_is_documented(name: str) -> None:
    """A setting is annotated with a sentence that says what it is."""
    assert get_origin(HINTS[name]) is Annotated
    description = meta(name).description
    assert description is not None
    assert description.endswith(".")
    assert len(description) < 120


def test_the_table_has_a_row_a_setting() -> None:
    """The README's table lists each variable with its default and its description."""
    rows = settings_table().splitlines()[2:]

    assert [re.match(r"\| `([A-Z_]+)` \|", row)[1] for row in rows] == [  # type: ignore[index]
        name.upper() for name in FIELDS
    ]
    assert "| `PORT` | `8000` | Port to listen on. |" in rows


def test_every_row_of_the_table_has_three_cells() -> None:
    """Nothing in a description breaks the table."""
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in settings_table().splitlines()} == {4}


@pytest.mark.parametrize(
    ("token", "found"),
    [
        ("tökén-0123456789", "one of another kind at 2"),
        ("token\N{NO-BREAK SPACE}x", "one of another kind at 6"),
        ("secret\x7f", "one of another kind at 7"),
        ("two words", "a blank at 4"),
        ("a\ttab", "a blank at 2"),
        ("密码", "one of another kind at 1"),
    ],
)
def test_a_token_that_no_client_could_send_is_refused(token: str, found: str) -> None:
    """At the start, with the place of the character, and without the token itself."""
    text = faults(ADMIN_TOKEN=token)

    assert text == f"ADMIN_TOKEN: expected visible ASCII characters, found {found}"
    assert token not in text


@pytest.mark.parametrize("token", ["x", "!~", "a:b/c+d=", '"quoted"', "x" * 500])
def test_any_other_token_is_taken(token: str) -> None:
    """Of whatever visible ASCII characters."""
    assert load_settings({"ADMIN_TOKEN": token}).admin_token == token


@pytest.mark.parametrize(
    "name",
    ["https://api.example", "api.example:8000", "api.example/", "::1", "[::1]:80", "a b", "é"],
)
def test_a_host_is_a_name_alone(name: str) -> None:
    """Without scheme, port and path, and an address of IPv6 in its brackets."""
    assert faults(ALLOWED_HOSTS=f"localhost, {name}").startswith(
        "ALLOWED_HOSTS: expected names without scheme and port"
    )


def test_hosts_are_names_addresses_and_a_star() -> None:
    """Each in the form that a Host header has."""
    names = ("api.example", "10.0.0.1", "[::1]", "*", "under_score")

    assert load_settings({"ALLOWED_HOSTS": ",".join(names)}).allowed_hosts == names
