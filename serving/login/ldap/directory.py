"""Asking an LDAP directory who somebody is: looked up as the service's own account, proved by a bind with the password.

Whatever goes wrong refuses the login: a directory that cannot be reached, shows another certificate, or answers what is no LDAP lets
nobody in. Users that the server has itself go on logging in, for they never come here. Referrals are not followed.

Spec: RFC 4511, RFC 4513 (5.1.3 simple bind, 3 StartTLS and the server's identity), RFC 4519 (attributes).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from typing import TYPE_CHECKING

from serving.config.oidcsettings import ALL
from serving.errors import Refused
from serving.login.ldap import wire
from serving.login.oidc.token import Identity, ProviderCode, login_refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from serving.config.ldapsettings import LdapSettings
    from serving.login.ldap.wire import DirectoryEntry, DirectoryMessage, DirectoryResult
    from serving.login.users import Roles

PREFIX = "ldap:"
_READ_BYTES = 65536
# How long the directory may take to end TLS after it was told; then the connection is left to the loop.
_CLOSING_S = 1.0
# A person is in one entry; a second one says that the name is not unique.
_MOST_PEOPLE, _MOST_GROUPS = 2, 1000


class LdapDirectory:
    """One directory, asked anew for each login. Raises `OperatorError` for settings that cannot work."""

    def __init__(self, settings: LdapSettings, environ: Mapping[str, str], roles: Roles) -> None:
        settings.check(roles.of_people())
        self._settings = settings
        self._environ = environ
        self._roles = roles

    @property
    def session_s(self) -> float:
        """Seconds that a session of somebody from here may last."""
        return self._settings.session_s

    async def identify(self, name: str, password: str) -> Identity:
        """Who logs in with a name and a password. Raises `Refused`: ``login_refused``, or ``login_provider_failed`` with the reason."""
        if not name or not password:
            raise login_refused("a name and a password are needed")
        try:
            async with asyncio.timeout(self._settings.timeout_s), self._connected() as connection:
                return await self._identify(connection, name, password)
        except Refused:
            raise
        except TimeoutError as err:
            raise _failed(f"it took longer than {self._settings.timeout_s:.0f} s") from err
        except (OSError, ssl.SSLError, ValueError) as err:
            raise _failed(str(err) or type(err).__name__) from err

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[_LdapConnection]:
        """A connection in TLS, bound as the service's account."""
        host, port, is_tls = self._settings.place()
        context = ssl.create_default_context(cafile=self._settings.trusted_ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        name = {"ssl": context, "server_hostname": host} if is_tls else {}
        reader, writer = await asyncio.open_connection(host, port, **name)  # type: ignore[arg-type]
        connection = _LdapConnection(reader, writer)
        try:
            if not is_tls:
                await connection.start_tls(context, host)
            if self._settings.bind_dn:
                secret = self._settings.bind_password.read(self._environ)
                bound = await connection.bind(self._settings.bind_dn, secret)
                if bound.code != wire.SUCCESS:
                    raise ValueError(f"it does not take admin.ldap.bind_dn: {_shown(bound)}")
            yield connection
            await connection.unbind()
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(_CLOSING_S):
                    await writer.wait_closed()

    async def _identify(self, connection: _LdapConnection, name: str, password: str) -> Identity:
        settings = self._settings
        values = {settings.user_attribute: name, **settings.user_has}
        found = await connection.search(
            settings.user_base, values, (settings.groups_attribute,), _MOST_PEOPLE
        )
        if len(found) != 1:
            # One bind more, so that a name nobody has takes as long as a wrong password.
            await connection.bind(settings.user_base, password)
            raise login_refused(
                "wrong name or password" if not found else f"the directory has {name[:80]!r} twice"
            )
        (person,) = found
        groups = await self._groups(connection, person)
        bound = await connection.bind(person.dn, password)
        if bound.code == wire.INVALID_CREDENTIALS:
            raise login_refused("wrong name or password")
        if bound.code != wire.SUCCESS:
            raise login_refused(f"the directory does not take the password: {_shown(bound)}")
        roles = self._worth(groups)
        if not roles:
            raise login_refused(
                f"none of the groups of {person.dn[:200]} gives a role here (admin.ldap.roles)"
            )
        return Identity(name, roles, frozenset())

    async def _groups(self, connection: _LdapConnection, person: DirectoryEntry) -> set[str]:
        settings = self._settings
        if not settings.group_base:
            return {same_dn(dn) for dn in person.attributes.get(settings.groups_attribute.lower(), ())}
        values = {settings.group_member_attribute: person.dn}
        entries = await connection.search(settings.group_base, values, ("1.1",), _MOST_GROUPS)
        return {same_dn(entry.dn) for entry in entries}

    def _worth(self, groups: set[str]) -> frozenset[str]:
        given = {
            role for dn, roles in self._settings.roles.items() if same_dn(dn) in groups for role in roles
        }
        people = self._roles.of_people()
        return people if ALL in given else frozenset(given) & people


class _LdapConnection:
    """One connection: a request is sent when the one before it has been answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._messages = wire.DirectoryMessages()
        self._read: list[DirectoryMessage] = []
        self._number = 0

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        (answer,) = await self._ask(wire.render_start_tls, wire.EXTENDED_ANSWER)
        if (result := answer.result()).code != wire.SUCCESS:
            raise ValueError(f"it does not start TLS: {_shown(result)}")
        if self._read or self._messages.is_begun:
            raise ValueError("it said something before TLS that it was not asked for")
        await self._writer.start_tls(context, server_hostname=host)

    async def bind(self, dn: str, password: str) -> DirectoryResult:
        (answer,) = await self._ask(lambda n: wire.render_bind(n, dn, password), wire.BIND_ANSWER)
        return answer.result()

    async def search(
        self, base: str, values: dict[str, str], attributes: tuple[str, ...], most: int
    ) -> list[DirectoryEntry]:
        """The entries that were found. Raises ValueError when the directory refuses the search."""
        *found, done = await self._ask(
            lambda n: wire.render_search(n, base, values, attributes, most), wire.SEARCH_DONE
        )
        result = done.result()
        if result.code not in (wire.SUCCESS, wire.SIZE_LIMIT_EXCEEDED):
            raise ValueError(f"it refuses a search below {base}: {_shown(result)}")
        return [message.entry() for message in found if message.tag == wire.ENTRY]

    async def unbind(self) -> None:
        self._number += 1
        self._writer.write(wire.render_unbind(self._number))
        await self._writer.drain()

    async def _ask(self, render: Callable[[int], bytes], last: int) -> list[DirectoryMessage]:
        """The answers to a request, up to the one with the tag ``last``. Raises ValueError, ConnectionError."""
        self._number += 1
        self._writer.write(render(self._number))
        await self._writer.drain()
        found: list[DirectoryMessage] = []
        while True:
            message = await self._next()
            if message.number != self._number:
                raise ValueError(
                    f"it answered number {message.number}, not {self._number}: {_notice(message)}"
                )
            found.append(message)
            if message.tag == last:
                return found
            if message.tag not in (wire.ENTRY, wire.REFERENCE) or len(found) > _MOST_GROUPS:
                raise ValueError(f"it answered {message.tag:#x} where {last:#x} was expected")

    async def _next(self) -> DirectoryMessage:
        while not self._read:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise ConnectionError("it closed the connection")
            self._read = self._messages.feed(data)
        return self._read.pop(0)


def same_dn(dn: str) -> str:
    """A name as it is compared: without regard to case, and to spaces beside separators."""
    return re.sub(r"\s*([,=+])\s*", r"\1", dn.strip()).casefold()


def _notice(message: DirectoryMessage) -> str:
    """The text of an unsolicited notification, such as a notice of disconnection (RFC 4511 4.4.1)."""
    with contextlib.suppress(ValueError):
        return _shown(message.result())
    return f"{message.tag:#x}"


def _shown(result: DirectoryResult) -> str:
    return f"result {result.code}{f' ({result.diagnostic[:200]})' if result.diagnostic else ''}"


def _failed(reason: str) -> Refused:
    return Refused(ProviderCode.PROVIDER_FAILED, f"the LDAP directory failed: {reason}")
