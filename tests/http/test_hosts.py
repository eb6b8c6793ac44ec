"""Names that a server answers to, by what was chosen and by the address that it listens on."""

import pytest

from ml_pipeline.fronts.http.hosts import MAX_KNOWN, Hosts, choose_hosts


def answers_to(hosts: Hosts | None, sent: bytes) -> bool:
    """Tell whether a request with this Host would be let in."""
    return hosts is None or hosts.find_fault(sent) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "localhost", "LocalHost"])
def test_on_a_loopback_address_its_names_alone_will_do(address: str) -> None:
    """Unless something else was chosen: another name may be that of a page elsewhere."""
    hosts = choose_hosts((), address)

    assert answers_to(hosts, b"localhost:8000")
    assert answers_to(hosts, b"[::1]:8000")
    assert not answers_to(hosts, b"page.example:8000")


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::", "api.example"])
def test_on_another_address_any_name_will_do(address: str) -> None:
    """Nobody knows by which the others call it."""
    assert choose_hosts((), address) is None


def test_an_address_of_its_own_is_a_name() -> None:
    """One of IPv6 within brackets, as clients send it."""
    assert answers_to(choose_hosts((), "127.8.0.1"), b"127.8.0.1:80")
    assert answers_to(choose_hosts((), "::ffff:127.0.0.1"), b"[::FFFF:127.0.0.1]")


def test_what_was_chosen_is_all(subtests: pytest.Subtests) -> None:
    """Names in any case, with any port; `*` is any name, on a loopback address too."""
    chosen = choose_hosts(("Api.Example", "[::1]"), "127.0.0.1")

    for sent in (b"api.example", b"API.EXAMPLE:1", b"api.example:", b"[::1]:80"):
        with subtests.test(sent=sent):
            assert answers_to(chosen, sent)
    for sent in (
        b"localhost",
        b"",
        b"api.example.evil",
        b"api.example:x",
        b"[api.example]",
        b":80",
    ):
        with subtests.test(sent=sent):
            assert not answers_to(chosen, sent)
    assert choose_hosts(("*",), "127.0.0.1") is None


def test_a_fault_tells_what_was_sent_and_what_is_expected() -> None:
    """The first hundred characters of it, whatever they are."""
    fault = Hosts(("a.example",)).find_fault(b"\xff" + b"x" * 200)

    assert fault is not None
    assert str(fault) == f"host: expected one of ALLOWED_HOSTS (a.example), found 'ÿ{'x' * 99}'"


def test_names_that_are_remembered_are_few() -> None:
    """However many ports are sent, each is judged the same the second time."""
    hosts = Hosts(("a",))
    sent = [b"a:%d" % port for port in range(2 * MAX_KNOWN)]

    assert [hosts.find_fault(each) for each in sent * 2] == [None] * 4 * MAX_KNOWN
