"""Fetching of files by address: which addresses are refused, and what a misbehaving server gets."""

import ipaddress
import time

import pytest

from mekiki.datasets.importing import fetching
from mekiki.datasets.problems import ProblemError
from tests.datasets.web_server import web_server

LOCAL = (ipaddress.ip_network("127.0.0.1/32"),)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1"),
        *("::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1"),
        *("64:ff9b::a00:1", "2002:a00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    ],
)
def test_special_addresses_are_refused(address: str) -> None:
    assert not fetching.is_public(ipaddress.ip_address(address))


def test_public_and_allowed_addresses_are_fetched() -> None:
    for address in ("8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert fetching.is_public(ipaddress.ip_address(address))
    assert fetching.is_public(ipaddress.ip_address("127.0.0.1"), LOCAL)
    assert fetching.is_public(ipaddress.ip_address("::ffff:127.0.0.1"), LOCAL)
    assert not fetching.is_public(ipaddress.ip_address("127.0.0.2"), LOCAL)


def problem_of(fetcher: fetching.Fetcher, address: str) -> str:
    with pytest.raises(ProblemError) as raised:
        fetcher.fetch(address)
    return raised.value.code


def test_what_a_server_gets() -> None:
    """One server, many cases: redirects, limits of size, tries, and answers that are cut."""
    pauses: list[float] = []
    with web_server() as server:
        fetcher = fetching.Fetcher(LOCAL, 1_000_000, sleep=pauses.append)
        here = server.address
        server.files = {"big": b"x" * 1_000_001}
        server.files["plain.png"] = b"picture"
        assert fetcher.fetch(f"{here}/plain.png?token=secret#part") == b"picture"
        assert fetcher.fetch(f"{here}/to/|plain.png") == b"picture"
        assert fetcher.fetch(f"{here}/once/plain.png") == b"picture"
        assert problem_of(fetcher, f"{here}/loop/0") == "url_redirects"
        assert sum(n for path, n in server.asked.items() if path.startswith("/loop")) == 6
        assert problem_of(fetcher, f"{here}/status/404") == "url_status"
        assert server.asked["/status/404"] == 1
        assert problem_of(fetcher, f"{here}/status/503") == "url_status"
        assert server.asked["/status/503"] == fetching.MAX_TRIES
        assert problem_of(fetcher, f"{here}/big") == "too_large"
        assert problem_of(fetcher, f"{here}/endless") == "too_large"
        assert problem_of(fetcher, f"{here}/short") == "url_unreachable"
        assert problem_of(fetcher, f"{here}/gzip") == "url_encoded"
        # Redirects to other schemes and other networks.
        assert problem_of(fetcher, f"{here}/to/file:||||etc|passwd") == "url_invalid"
        assert problem_of(fetcher, f"{here}/to/http:||127.0.0.2|x") == "url_refused"
        assert problem_of(fetcher, f"{here}/to/http:||169.254.169.254|latest") == "url_refused"
        assert all(pause <= fetching.MAX_PAUSE for pause in pauses)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://localhost/a.png", "url_refused"),
        ("http://127.1/a.png", "url_refused"),
        ("http://2130706433/a.png", "url_refused"),
        ("http://0x7f.1/a.png", "url_refused"),
        ("http://[::1]/a.png", "url_refused"),
        ("http://[::ffff:127.0.0.1]/a.png", "url_refused"),
        ("ftp://example.com/a.png", "url_invalid"),
        ("http://", "url_invalid"),
        ("http://exa mple/a", "url_invalid"),
        ("http://user:secret@example.com/a.png", "url_invalid"),
        ("http://example.com:99999/", "url_invalid"),
        ("http://[bad/", "url_invalid"),
    ],
)
def test_addresses_that_are_not_fetched(address: str, code: str) -> None:
    assert problem_of(fetching.Fetcher((), 1000, sleep=lambda _s: None), address) == code


def test_a_second_answer_of_the_name_server_is_never_used() -> None:
    """DNS rebinding: the first answer is public, the second is not. The connection goes to the first."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    with web_server() as server:
        server.files["a.png"] = b"picture"
        port = server.server_address[1]
        fetcher = fetching.Fetcher(LOCAL, 1000, resolve=lambda _host, _port: answers.pop(0))
        assert fetcher.fetch(f"http://rebind.example:{port}/a.png") == b"picture"
        assert len(answers) == 1
        # The next request asks again, and its answer is checked again.
        assert problem_of(fetcher, f"http://rebind.example:{port}/a.png") == "url_refused"
        # One private number among public ones refuses the host.
        mixed = fetching.Fetcher(LOCAL, 1000, resolve=lambda _host, _port: ["127.0.0.1", "10.0.0.1"])
        assert problem_of(mixed, f"http://mixed.example:{port}/a.png") == "url_refused"


def test_a_server_that_drips_headers_is_left_at_the_deadline() -> None:
    with web_server() as server:
        fetcher = fetching.Fetcher(LOCAL, 1000, total_seconds=0.3, sleep=lambda _s: None)
        begun = time.monotonic()
        assert problem_of(fetcher, f"{server.address}/slow") == "url_slow"
        assert time.monotonic() - begun < 30


def test_names_and_reports_hold_no_secrets() -> None:
    address = "https://me:pw@cdn.example.com:8443/line 1/a.png?sig=secret#x"
    assert fetching.shown_address(address) == "https://cdn.example.com:8443/line 1/a.png"
    assert fetching.name_of_address(address) == "cdn.example.com:8443/line 1/a.png"
