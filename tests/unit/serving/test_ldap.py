"""Logins with an LDAP directory: groups become roles, what is typed stays a value, and whatever goes wrong lets nobody in."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.config.ldapsettings import LdapSettings
from serving.config.secret import SecretSource
from serving.errors import OperatorError, Refused
from serving.login.ldap import wire
from serving.login.ldap.directory import LdapDirectory, same_dn
from serving.login.oidc.token import ProviderCode
from tests.directories import (
    BASE,
    HOST,
    OPERATORS,
    READERS,
    SERVICE,
    SERVICE_PASSWORD,
    Certified,
    answering,
    slapd,
)
from tests.unit.serving.test_adminapi import ROLES, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PEOPLE = f"ou=people,{BASE}"
ENVIRON = {"SECRET": SERVICE_PASSWORD}


def settings(url: str, ca: str, **changed: Any) -> LdapSettings:
    given: dict[str, Any] = {
        "url": url,
        "trusted_ca": ca,
        "bind_dn": SERVICE,
        "bind_password": SecretSource(environment="SECRET"),
        "user_base": PEOPLE,
        "user_has": {"objectClass": "person"},
        "group_base": f"ou=groups,{BASE}",
        "roles": {OPERATORS.upper().replace(",", " , "): ("BOSS",), READERS: ("READER",)},
        "timeout_s": 30.0,
    }
    return LdapSettings(**{**given, **changed})


async def refusal(of: LdapSettings, name: str, password: str) -> Refused:
    with pytest.raises(Refused) as caught:
        await LdapDirectory(of, ENVIRON, ROLES).identify(name, password)
    return caught.value


# A real directory


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    with slapd(tmp_path_factory.mktemp("slapd")) as places:
        yield places


@pytest.mark.xroad("F131")
@pytest.mark.processes
@pytest.mark.parametrize("which", [0, 1], ids=["StartTLS", "ldaps"])
async def test_groups_of_a_directory_become_roles(served: tuple[str, str, str], which: int) -> None:
    directory = LdapDirectory(settings(served[which], served[2]), ENVIRON, ROLES)
    ana = await directory.identify("ana", "ana's password")
    assert ana.name == "ana"
    assert ana.roles == {"BOSS", "READER"}
    assert (await directory.identify("josé", "contraseña")).roles == {"READER"}
    everything = LdapDirectory(settings(served[which], served[2], roles={READERS: ("all",)}), ENVIRON, ROLES)
    assert (await everything.identify("josé", "contraseña")).roles == {"BOSS", "READER"}


@pytest.mark.xroad("F131")
@pytest.mark.processes
@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("ana", "wrong", "wrong name or password"),
        ("eva", "ana's password", "wrong name or password"),
        ("nobody", "nobody's password", "gives a role"),
        ("twin", "twin's password", "twice"),
        # What would open a filter that is put together of texts.
        ("*", "ana's password", "wrong name or password"),
        ("an*", "ana's password", "wrong name or password"),
        ("ana)(uid=*", "ana's password", "wrong name or password"),
        ("*)(|(uid=*", "ana's password", "wrong name or password"),
        ("ana\x00", "ana's password", "wrong name or password"),
        ("\\2a", "ana's password", "wrong name or password"),
        # A bind without a password would go well as nobody's (RFC 4513 5.1.2).
        ("ana", "", "needed"),
        ("", "ana's password", "needed"),
    ],
)
async def test_a_directory_lets_nobody_else_in(
    served: tuple[str, str, str], name: str, password: str, reason: str
) -> None:
    refused = await refusal(settings(served[1], served[2]), name, password)
    assert refused.code is ProviderCode.LOGIN_REFUSED
    assert reason in str(refused)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"bind_password": SecretSource(environment="OTHER")}, "bind_dn"),
        ({"trusted_ca": ""}, "certificate verify failed"),
        ({"group_base": "ou=nowhere,dc=example,dc=org"}, "refuses a search"),
        ({"bind_dn": ""}, "refuses a search"),
    ],
)
async def test_what_is_set_wrongly_is_said_and_lets_nobody_in(
    served: tuple[str, str, str], changed: dict[str, Any], reason: str
) -> None:
    wrong = settings(served[1], served[2], **changed)
    with pytest.raises(Refused) as caught:
        await LdapDirectory(wrong, {**ENVIRON, "OTHER": "another"}, ROLES).identify("ana", "ana's password")
    assert caught.value.code is ProviderCode.PROVIDER_FAILED
    assert reason in str(caught.value)


# A server's own login over it


@pytest.mark.xroad("F131")
@pytest.mark.processes
async def test_an_admin_api_takes_the_directorys_people_and_keeps_its_own(
    served: tuple[str, str, str], tmp_path: Path
) -> None:
    # The server's own "ana" has another password than the directory's, and is asked for alone.
    setting = Setting(tmp_path, ENVIRON, ldap=settings(served[1], served[2]))
    await setting.open()
    try:
        headers = await setting.log_in("josé", "contraseña")
        answer = await setting.client.get("/api/v1/user", headers=headers)
        assert (await answer.json())["username"] == "ldap:josé"
        for name, password, status in (
            ("ana", "ana's password", 401),
            ("ana", "secret-ana", 200),
            ("josé", "wrong", 401),
        ):
            form = {"username": name, "password": password}
            assert (await setting.client.post("/login", data=form)).status == status, (name, password)
        who = [(r["who"], r["event"], r["outcome"]) for r in setting.recorded()]
        assert who == [
            ("ldap:josé", "FORM_LOGIN", "done"),
            ("ana", "FORM_LOGIN", "refused"),
            ("ana", "FORM_LOGIN", "done"),
            ("josé", "FORM_LOGIN", "refused"),
        ]
        # The session ends when its time is over, whatever happens in between.
        setting.monotonic += 28_800
        assert (await setting.client.get("/api/v1/user", headers=headers)).status == 401
    finally:
        await setting.close()


@pytest.mark.xroad("F131")
async def test_while_the_directory_is_down_its_people_are_refused_and_our_own_log_in(tmp_path: Path) -> None:
    down = settings(f"ldaps://{HOST}:9", Certified(tmp_path / "tls").make().file)
    setting = Setting(tmp_path, ENVIRON, ldap=down, login_attempts=2)
    await setting.open()
    try:
        for _ in range(3):  # not counted as wrong passwords: none was tried
            answer = await setting.client.post("/login", data={"username": "josé", "password": "contraseña"})
            assert answer.status == 500
            said = await answer.json()
            assert said["error"]["code"] == "login_provider_failed"
            assert "127.0.0.1" not in json.dumps(said)
        assert "LDAP directory failed" in json.dumps(setting.recorded()[-1])
        assert (await setting.log_in("ana"))["Cookie"]
    finally:
        await setting.close()


# A directory that answers what it must not


def element(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    assert len(content) < 128
    return bytes((tag, len(content))) + content


def result(number: int, tag: int, code: int = 0, said: bytes = b"") -> bytes:
    body = element(0x0A, bytes((code,))) + element(0x04) + element(0x04, said)
    return element(0x30, element(0x02, bytes((number,))), element(tag, body))


def entry(number: int, dn: str, **attributes: str) -> bytes:
    listed = b"".join(
        long(0x30, element(0x04, name.encode()), long(0x31, long(0x04, value.encode())))
        for name, value in attributes.items()
    )
    found = long(0x64, long(0x04, dn.encode()), long(0x30, listed))
    return long(0x30, element(0x02, bytes((number,))), found)


def long(tag: int, *parts: bytes) -> bytes:
    """An element with its length in two octets, as many directories write it."""
    content = b"".join(parts)
    return bytes((tag, 0x82)) + len(content).to_bytes(2, "big") + content


@pytest.mark.xroad("F131")
@pytest.mark.parametrize("by", ["the groups' entries", "memberOf"])
async def test_the_groups_that_a_directory_names_become_roles(tmp_path: Path, by: str) -> None:
    person = f"uid=ana,{PEOPLE}"
    elsewhere = element(0x30, element(0x02, b"\x02"), element(0x73, element(0x04, b"ldap://elsewhere")))
    answers = [result(1, 0x61), entry(2, person, memberOf=OPERATORS) + elsewhere + result(2, 0x65)]
    if by == "memberOf":
        answers += [result(3, 0x61)]
    else:
        answers += [entry(3, OPERATORS) + result(3, 0x65), result(4, 0x61)]
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said in answers:
            heard.append(await reader.read(65536))
            for at in range(0, len(said), 7):  # in pieces that end anywhere
                writer.write(said[at : at + 7])
                await writer.drain()
        heard.append(await reader.read())

    certified = Certified(tmp_path).make()
    async with answering(answer, certified.context()) as port:
        given = {} if by != "memberOf" else {"group_base": ""}
        of = settings(f"ldaps://{HOST}:{port}", certified.file, **given)
        found = await LdapDirectory(of, ENVIRON, ROLES).identify("ana", "ana's password")
    assert found.roles == {"BOSS"}
    # The password went out once, in the last bind and under the name that was found.
    (bind,) = (message for message in heard if b"ana's password" in message)
    assert bind == wire.render_bind(len(answers), person, "ana's password")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([b"HTTP/1.1 200 OK\r\n\r\n"], "begins with 0x48"),
        ([b"\x30\x84\xff\xff\xff\xff"], "is the most"),
        ([b"\x30\x80\x00\x00"], "another form"),
        ([b"\x30\x02\x02\x00"], "no operation"),
        ([b"\x30\x05\x02\x01\x01\x61\x7f"], "before its length"),
        ([result(7, 0x61)], "answered number 7"),
        ([result(0, 0x78, 52, b"going down")], "going down"),
        ([result(1, 0x65)], "answered 0x65"),
        ([result(1, 0x61, 53, b"not now")], "not now"),
        ([result(1, 0x61), result(2, 0x65, 32)], "refuses a search"),
        ([result(1, 0x61), result(2, 0x65, 10, b"ask elsewhere")], "ask elsewhere"),
        ([b""], "closed the connection"),
        ([result(1, 0x61), b""], "closed the connection"),
    ],
    ids=lambda value: None if isinstance(value, list) else value,
)
async def test_an_answer_that_is_none_lets_nobody_in(
    tmp_path: Path, answers: list[bytes], reason: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said in answers:
            await reader.read(65536)
            writer.write(said)
            await writer.drain()

    certified = Certified(tmp_path).make()
    async with answering(answer, certified.context()) as port:
        refused = await refusal(settings(f"ldaps://{HOST}:{port}", certified.file), "ana", "x")
    assert refused.code is ProviderCode.PROVIDER_FAILED
    assert reason in str(refused)


async def test_a_directory_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    certified = Certified(tmp_path).make()
    async with answering(answer, certified.context()) as port:
        waiting = settings(f"ldaps://{HOST}:{port}", certified.file, timeout_s=0.5)
        assert "took longer" in str(await refusal(waiting, "ana", "x"))


async def test_a_tls_older_than_1_2_is_not_spoken(tmp_path: Path) -> None:
    met: list[str | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(writer.get_extra_info("ssl_object").version())
        await reader.read()

    certified = Certified(tmp_path).make()
    with pytest.warns(DeprecationWarning):
        old = certified.context(ssl.TLSVersion.TLSv1_1)
    with pytest.warns(DeprecationWarning):
        lenient = ssl.create_default_context(cafile=certified.file)
        lenient.minimum_version = ssl.TLSVersion.TLSv1_1
    lenient.set_ciphers("ALL:@SECLEVEL=0")
    async with answering(answer, old) as port:
        refused = await refusal(settings(f"ldaps://{HOST}:{port}", certified.file), "ana", "x")
        assert refused.code is ProviderCode.PROVIDER_FAILED
        assert met == []
        # A client that takes 1.1 comes in, so that is what kept ours out.
        _reader, writer = await asyncio.open_connection(HOST, port, ssl=lenient)
        writer.close()
        await writer.wait_closed()
    assert met == ["TLSv1.1"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (result(1, 0x78, 2, b"no TLS here"), "no TLS here"),
        # What stands before TLS could be anybody's and must not be taken for the directory's.
        (result(1, 0x78) + result(2, 0x61), "before TLS"),
        (result(1, 0x78) + b"\x30", "before TLS"),
    ],
)
async def test_nothing_goes_on_in_the_clear(tmp_path: Path, answer: bytes, reason: str) -> None:
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(65536))
        writer.write(answer)
        await writer.drain()
        heard.extend(await reader.read())

    async with answering(serve, None) as port:
        certified = Certified(tmp_path).make()
        refused = await refusal(settings(f"ldap://{HOST}:{port}", certified.file), "ana", "x")
    assert reason in str(refused)
    assert bytes(heard) == wire.render_start_tls(1)


# Settings and messages


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"url": "http://ldap.example.org"}, "must be ldaps"),
        ({"url": "ldaps://"}, "must be ldaps"),
        ({"url": "ldaps://host/dc=example"}, "must be ldaps"),
        ({"url": "ldaps://user@host"}, "must be ldaps"),
        ({"url": "ldaps://host:0"}, "must be ldaps"),
        ({"url": "ldaps://host:x"}, "must be ldaps"),
        ({"user_base": ""}, "user_base"),
        ({"roles": {}}, "roles"),
        ({"roles": {READERS: ("EMPEROR",)}}, "EMPEROR"),
        ({"bind_password": SecretSource()}, "bind_password"),
        ({"user_attribute": "uid)(x"}, "no name of an attribute"),
        ({"user_has": {"object Class": "person"}}, "no name of an attribute"),
    ],
)
def test_settings_that_cannot_work_are_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(OperatorError, match=reason):
        LdapDirectory(
            msgspec.structs.replace(settings("ldaps://ldap.example.org", ""), **changed), ENVIRON, ROLES
        )


def test_names_are_the_same_without_regard_to_case_and_spaces() -> None:
    assert same_dn("CN = Operators , OU=Groups") == same_dn("cn=operators,ou=groups")
    assert same_dn("cn=a,ou=b") != same_dn("cn=a b,ou=b")


@given(st.binary(max_size=200), st.integers(0, 200))
def test_bytes_of_any_kind_are_messages_or_an_error(data: bytes, cut: int) -> None:
    messages = wire.DirectoryMessages()
    try:
        for message in (*messages.feed(data[:cut]), *messages.feed(data[cut:])):
            message.entry()
            message.result()
    except ValueError:
        pass


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_what_is_typed_is_one_value_of_the_question(name: str) -> None:
    asked = wire.render_search(1, BASE, {"uid": name}, ("1.1",), 2)
    (message,) = wire.DirectoryMessages().feed(asked)
    assert message.tag == wire.SEARCH
    # The value stands in one octet string, with its length before it; what surrounds it is the same for every name.
    value = name.encode()
    length = len(value)
    head = bytes((length,)) if length < 128 else bytes((0x81, length)) if length < 256 else b""
    assert b"\x04\x03uid\x04" + head + value in asked or not head
    assert asked.endswith(value + b"\x30\x05\x04\x031.1")


def test_a_bind_with_a_name_and_no_password_is_not_sent() -> None:
    with pytest.raises(ValueError, match="proves nothing"):
        wire.render_bind(1, "uid=ana", "")
