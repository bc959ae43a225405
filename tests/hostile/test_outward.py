"""No address that somebody gives a server, in whatever spelling, leads it to a network where no institute's system is.

A name that leads there is refused by the address it leads to; what the system's resolver reads as numbers (decimal, hexadecimal,
octal, with parts left out) is such a name.
"""

from __future__ import annotations

import ast
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from central_server.admin.values import check_url
from central_server.management.notices import check_webhook
from gateway.clients.descriptions.fetching import fetch_description
from gateway.clients.descriptions.fetchpolicy import FetchPolicy
from gateway.edges.acmeclient import Account, AcmeClient, ChallengeBoard
from serving.errors import Refused
from serving.process.outward import DENIED, address_of, is_within, outward_session

ROOT = Path(__file__).parents[2]

# Spellings of 169.254.169.254, where a cloud gives out credentials, and of its neighbours.
LITERALS = (
    "169.254.169.254",
    "169.254.0.1",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[::ffff:0:169.254.169.254]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[64:ff9b:1:ffff::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:1234:5678:0:0:5601:5601]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[ff02::1]",
    "[fd00:ec2::254]",
    "[fd00:0ec2:0::0254]",
)
NUMBERS = (
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "0",
)
ELSEWHERE = (
    "127.0.0.1",
    "10.1.2.3",
    "192.168.0.9",
    "172.16.0.1",
    "8.8.8.8",
    "[::1]",
    "[fd12:3456:789a::1]",
    "[2001:db8::1]",
)


@pytest.mark.parametrize("host", LITERALS)
def test_every_spelling_of_a_network_that_is_never_reached_is_known(host: str) -> None:
    address = address_of(host)
    assert address is not None
    assert is_within(address, *DENIED)
    for url in (f"http://{host}/latest/meta-data", f"https://{host}:443/"):
        with pytest.raises(Refused):
            check_url(url)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_institutes_own_networks_are_reached(host: str) -> None:
    address = address_of(host)
    assert address is not None
    assert not is_within(address, *DENIED)
    assert check_url(f"http://{host}:8080/ocsp") == f"http://{host}:8080/ocsp"


@pytest.mark.parametrize("host", [*LITERALS, *NUMBERS])
async def test_no_server_connects_there(host: str) -> None:
    """What has no spelling of the network in it is refused by what the system's resolver makes of it."""
    async with outward_session(timeout=aiohttp.ClientTimeout(total=30)) as session:
        for call in (session.get, session.post):
            with pytest.raises((aiohttp.ClientError, OSError), match=r"never connected|not a canonical"):
                await call(f"http://{host}:81/")
    with pytest.raises(Refused) as refused:
        await fetch_description(FetchPolicy(), f"http://{host}:81/x.wsdl")
    assert refused.value.code == "url_not_allowed" or "not a canonical" in str(refused.value)


async def test_this_machine_is_reached_also_by_a_name() -> None:
    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(text="here")

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        async with outward_session() as session:
            for host in ("127.0.0.1", "localhost"):
                async with session.get(f"http://{host}:{port}/") as found:
                    assert await found.text() == "here"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.1@evil.example/",
        "https://ana:secret@institute.example/",
        "https://institute.example\\@evil.example/",
        "http://institute.example/",
        "http://localhost.example/",
        "ftp://institute.example/",
        "file:///etc/passwd",
        "//institute.example/",
        "https://",
        "",
    ],
)
def test_a_webhook_without_tls_is_on_this_machine_and_nowhere_else(url: str) -> None:
    with pytest.raises(ValueError, match="webhook"):
        check_webhook(url)


@pytest.mark.parametrize(
    "url", ["https://institute.example/hook?a=1", "http://127.0.0.9:8080/x", "http://[::1]/"]
)
def test_a_webhook_by_tls_or_on_this_machine_is_taken(url: str) -> None:
    check_webhook(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://ana@ocsp.example/",
        "http://ana:secret@ocsp.example/",
        "http://ocsp.example/\n",
        "http://ocsp.exa\tmple/",
        "\x01http://ocsp.example/",
        "http://ocsp.example/#x",
        "http://ocsp.example\\@inner/",
        "http://[::1",
        "http://h:99999/",
        "http:///ocsp",
        "gopher://h/",
        "http://h/a b",
        "http://h/../x",
    ],
)
def test_an_authority_s_address_is_plain(url: str) -> None:
    with pytest.raises(Refused) as refused:
        check_url(url)
    assert refused.value.code == "invalid_url"


async def test_an_acme_server_leads_to_no_other_address(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/inner"})

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/dir"
        client = AcmeClient(url, Account(tmp_path / "acme", "a long secret"), ChallengeBoard())
        with pytest.raises(Refused) as refused:
            await client.demands_binding()
    finally:
        await runner.cleanup()
    assert refused.value.code == "acme.fetching_metadata_error"
    assert asked == ["/dir"]


# Every client of a server of ours is such a one


OWN_RULES = {
    "serving/process/outward.py": "makes them",
    "gateway/clients/descriptions/fetching.py": "its own policy, by the same connector",
    "central_server/edges/gatherer.py": "its own gateway, by a setting",
    "gateway/server/workers.py": "its own workers, at addresses it chose itself",
    "certs/dev/acme.py": "for development: it asks the names that it is to certify, for one short text",
}


def test_no_server_asks_a_given_address_by_another_kind_of_client() -> None:
    found = set()
    for package in ("gateway", "central_server", "serving", "certs"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ClientSession"):
                    found.add(str(path.relative_to(ROOT)))
    assert found == set(OWN_RULES)
