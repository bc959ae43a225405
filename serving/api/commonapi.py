"""Operations every admin API has: API keys, and who the caller is."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from schemas.numbers import whole_number
from serving.api.authentication import check_roles_known
from serving.api.operations import Call, Operation
from serving.api.problems import forbidden, not_found
from serving.storage.audit import LARGEST_NUMBER, AuditSought

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serving.login.users import ApiKey, Logins, Roles
    from serving.storage.audit import AuditLog

RoleNames = list[Annotated[str, msgspec.Meta(min_length=1, max_length=255)]]


class ApiKeyView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An API key; ``key`` only in the answer that makes it."""

    id: int
    roles: list[str]
    key: str | None = None
    expires_at: str | None = None


class NewApiKeyQuery(msgspec.Struct, frozen=True):
    """The query of a new API key: the days that it lives; 0 is for ever."""

    expires_in_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] | None = None


_Sought = Annotated[str, msgspec.Meta(max_length=200)]


class AuditQuery(msgspec.Struct, frozen=True):
    """Which entries of the audit log: at most ``limit`` below the number ``before`` and above ``after``, the newest first.

    ``who`` is a part of a name, ``about`` words of what an entry concerns; ``since`` counts, ``until`` no longer does.
    """

    before: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_NUMBER)] | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_NUMBER)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    who: _Sought = ""
    event: _Sought = ""
    outcome: Literal["done", "refused", "failed"] | None = None
    about: _Sought = ""
    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the audit log: who did what, from where, how it ended, what was said of it, and what is different since."""

    number: int
    at: str
    who: str
    address: str = ""
    event: str
    outcome: str
    target: str = ""
    detail: dict[str, Any] = {}
    changes: list[str] = []


class UserView(msgspec.Struct, frozen=True):
    """The user who calls, with roles and permissions."""

    username: str
    roles: list[str]
    permissions: list[str]


def operations(logins: Logins, roles: Roles, api_key_days: int, audit: AuditLog) -> list[Operation]:
    """The rows; every server adds them to its own."""
    keys = _ApiKeys(logins, roles, api_key_days)

    async def user(call: Call) -> UserView:
        who = call.principal
        return UserView(who.name, sorted(who.roles), sorted(who.permissions))

    async def user_roles(call: Call) -> list[str]:
        return sorted(call.principal.roles)

    async def user_permissions(call: Call) -> list[str]:
        return sorted(call.principal.permissions)

    async def entries(call: Call) -> list[AuditRecord]:
        query = call.query_as(AuditQuery)
        sought = AuditSought(
            query.who.strip(), query.event, query.outcome or "", query.about, query.since, query.until
        )
        found = await asyncio.to_thread(audit.find, sought, query.before, query.after, query.limit)
        return [msgspec.convert({**record, "number": number}, AuditRecord) for number, record in found]

    return [
        *keys.operations(),
        Operation(
            "GET",
            "/audit-log/entries",
            entries,
            "Who changed what, the newest first",
            ("VIEW_AUDIT_LOG",),
            query=AuditQuery,
            answer=list[AuditRecord],
            tag="system",
        ),
        Operation("GET", "/user", user, "Who am I", answer=UserView, tag="user"),
        Operation("GET", "/user/roles", user_roles, "My roles", answer=list[str], tag="user"),
        Operation(
            "GET", "/user/permissions", user_permissions, "My permissions", answer=list[str], tag="user"
        ),
    ]


class _ApiKeys:
    def __init__(self, logins: Logins, roles: Roles, days: int) -> None:
        self._logins = logins
        self._roles = roles
        self._days = days

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "POST", "/api-keys", self.make, "Make an API key; it is shown this once", ("CREATE_API_KEY",),
                body=RoleNames, query=NewApiKeyQuery, answer=ApiKeyView, event="API_KEY_CREATE", tag="api-keys",
            ),
            Operation(
                "GET", "/api-keys", self.list, "Every API key", ("VIEW_API_KEYS",),
                answer=list[ApiKeyView], tag="api-keys",
            ),
            Operation(
                "GET", "/api-keys/{id}", self.one, "One API key", ("VIEW_API_KEYS",),
                answer=ApiKeyView, tag="api-keys",
            ),
            Operation(
                "PUT", "/api-keys/{id}", self.update, "Replace the roles of an API key", ("UPDATE_API_KEY",),
                body=RoleNames, answer=ApiKeyView, event="API_KEY_UPDATE", tag="api-keys",
            ),
            Operation(
                "DELETE", "/api-keys/{id}", self.revoke, "Revoke an API key", ("REVOKE_API_KEY",),
                event="API_KEY_REMOVE", tag="api-keys",
            ),
        )  # fmt: skip

    async def make(self, call: Call) -> ApiKeyView:
        body = self._check_roles(call, call.body_as(list))
        days = call.query_as(NewApiKeyQuery).expires_in_days
        days = self._days if days is None else days
        expires = call.now + timedelta(days=days) if days else None
        made, key = self._logins.make_api_key(
            body, call.principal.name, scope=call.principal.scope, expires_at=expires
        )
        call.note(api_key=made.id, roles=sorted(made.roles))
        return _view(made, key)

    async def list(self, _call: Call) -> list[ApiKeyView]:
        return [_view(k) for k in self._logins.api_keys()]

    async def one(self, call: Call) -> ApiKeyView:
        return _view(self._find(call))

    async def update(self, call: Call) -> ApiKeyView:
        found = self._find(call)
        body = self._check_roles(call, call.body_as(list))
        call.note(api_key=found.id, roles=sorted(body), roles_before=sorted(found.roles))
        self._logins.set_api_key_roles(found.id, body)
        return _view(self._find(call))

    async def revoke(self, call: Call) -> None:
        found = self._find(call)
        call.note(api_key=found.id, roles_before=sorted(found.roles))
        self._logins.revoke_api_key(found.id)

    def _find(self, call: Call) -> ApiKey:
        text = call.path["id"]
        number = whole_number(text)
        found = None if number is None else self._logins.api_key(number)
        if found is None:
            raise not_found("api_key_not_found", text)
        return found

    def _check_roles(self, call: Call, names: Iterable[str]) -> set[str]:
        roles = set(names)
        check_roles_known(roles, self._roles.permissions)
        if not roles:
            check_roles_known([""], self._roles.permissions)
        refused = sorted(r for r in roles if not self._roles.may_give(call.principal.roles, r))
        if refused:
            raise forbidden("forbidden", "you have not the role " + ", ".join(refused))
        return roles


def _view(key: ApiKey, secret: str | None = None) -> ApiKeyView:
    expires = key.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ") if key.expires_at else None
    return ApiKeyView(key.id, sorted(key.roles), secret, expires)
