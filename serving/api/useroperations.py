"""``/users`` and ``/sessions`` of every admin API: who may use it, made and changed by those who answer for it; and one's own password.

Nobody makes or changes somebody who may do what she may not herself: the first user, made by the command on the server, has every role
that shall be handed out. Nobody takes away her own roles or switches herself off, so whoever manages users is always left. A program's
key manages no users, for what it made would outlive it.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec

from serving.api.authentication import check_roles_known
from serving.api.operations import Call, Operation
from serving.api.problems import Problem, conflict, forbidden, not_found
from serving.errors import OperatorError
from serving.login.users import LONGEST_PASSWORD, SHORTEST_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serving.api.authentication import Authentication
    from serving.login.users import Logins, Roles, User

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
# A form offers the roles that a person may have.
PeoplesRoles = Annotated[list[Name], msgspec.Meta(extra={"choices": "roles of people"})]
Password = Annotated[str, msgspec.Meta(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]


class AdminUserView(msgspec.Struct, frozen=True):
    """A user: roles, the clients it is narrowed to (``scope``; none: everything), its live sessions, whether the caller may change it."""

    name: str
    roles: list[str]
    scope: list[str]
    is_disabled: bool
    sessions: int
    may_change: bool


class NewUserBody(msgspec.Struct, frozen=True):
    """A new user; ``scope`` are clients that narrow it to what concerns them."""

    name: Name
    new_password: Password
    roles: PeoplesRoles
    scope: list[Name] = []


class RolesBody(msgspec.Struct, frozen=True):
    """All roles that a user shall have."""

    roles: PeoplesRoles


class PasswordBody(msgspec.Struct, frozen=True):
    """The password that a user shall have from now on."""

    new_password: Password


class OwnPasswordBody(msgspec.Struct, frozen=True):
    """The caller's password until now, and the new one."""

    old_password: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_PASSWORD)]
    new_password: Password


class SessionView(msgspec.Struct, frozen=True):
    """A live session: whose, when it was last used, and whether another server vouched for its holder."""

    name: str
    used_at: str
    is_vouched: bool


def operations(logins: Logins, roles: Roles, authentication: Authentication) -> Sequence[Operation]:
    """The rows; every server adds them to its own."""
    users = _Users(logins, roles, authentication)
    return (
        Operation("GET", "/users", users.listed, "Every user", ("VIEW_ADMIN_USERS",),
                  answer=list[AdminUserView], tag="users"),
        Operation("POST", "/users", users.make, "Make a user", ("ADD_ADMIN_USER",),
                  body=NewUserBody, event="ADD_USER", errors=(409,), tag="users"),
        Operation("PUT", "/users/{name}/roles", users.set_roles, "Replace the roles of a user", ("UPDATE_ADMIN_USER",),
                  body=RolesBody, event="EDIT_USER_ROLES", tag="users"),
        Operation("PUT", "/users/{name}/password", users.set_password, "Give a user a new password", ("UPDATE_ADMIN_USER",),
                  body=PasswordBody, event="EDIT_USER_PASSWORD", tag="users"),
        Operation("PUT", "/users/{name}/disable", users.disable, "Switch a user off", ("UPDATE_ADMIN_USER",),
                  event="DISABLE_USER", tag="users"),
        Operation("PUT", "/users/{name}/enable", users.enable, "Switch a user on", ("UPDATE_ADMIN_USER",),
                  event="ENABLE_USER", tag="users"),
        Operation("DELETE", "/users/{name}", users.remove, "Delete a user", ("DELETE_ADMIN_USER",),
                  event="DELETE_USER", tag="users"),
        Operation("GET", "/sessions", users.sessions, "Who is logged in", ("VIEW_ADMIN_USERS",),
                  answer=list[SessionView], tag="users"),
        Operation("DELETE", "/sessions/{name}", users.end_sessions, "End the sessions of a user", ("UPDATE_ADMIN_USER",),
                  event="END_USER_SESSIONS", tag="users"),
        Operation("PUT", "/user/password", users.set_own_password, "Change my password",
                  body=OwnPasswordBody, event="CHANGE_OWN_PASSWORD", scoped=True, tag="user"),
    )  # fmt: skip


class _Users(msgspec.Struct, frozen=True):
    logins: Logins
    roles: Roles
    authentication: Authentication

    async def listed(self, call: Call) -> list[AdminUserView]:
        live = [s.name for s in self.authentication.live_sessions()]
        return [
            AdminUserView(
                u.name,
                sorted(u.roles),
                sorted(u.scope),
                u.is_disabled,
                live.count(u.name),
                u.name != call.principal.name and not self._lacking(call, u.roles),
            )
            for u in self.logins.users()
        ]

    async def make(self, call: Call) -> None:
        body = call.body_as(NewUserBody)
        if self.logins.user(body.name) is not None:
            raise conflict("user_exists", body.name)
        roles = self._checked_roles(call, body.roles)
        call.note(user=body.name, roles=sorted(roles), scope=body.scope)
        await self._save(body.name, body.new_password, roles, body.scope)

    async def set_roles(self, call: Call) -> None:
        user = self._other(call)
        roles = self._checked_roles(call, call.body_as(RolesBody).roles)
        call.note(user=user.name, roles=sorted(roles), roles_before=sorted(user.roles))
        await self._save(user.name, None, roles, user.scope)

    async def set_password(self, call: Call) -> None:
        user = self._other(call)
        call.note(user=user.name)
        await self._save(user.name, call.body_as(PasswordBody).new_password, user.roles, user.scope)

    async def disable(self, call: Call) -> None:
        user = self._other(call)
        call.note(user=user.name)
        self.logins.set_user_disabled(user.name, disabled=True)

    async def enable(self, call: Call) -> None:
        user = self._other(call)
        call.note(user=user.name)
        self.logins.set_user_disabled(user.name, disabled=False)

    async def remove(self, call: Call) -> None:
        user = self._other(call)
        call.note(user=user.name, roles_before=sorted(user.roles))
        self.logins.remove_user(user.name)

    async def sessions(self, call: Call) -> list[SessionView]:
        return [
            SessionView(s.name, f"{call.now - timedelta(seconds=s.idle_s):%Y-%m-%dT%H:%M:%SZ}", s.is_vouched)
            for s in self.authentication.live_sessions()
        ]

    async def end_sessions(self, call: Call) -> None:
        _check_no_program(call)
        name = call.path["name"]
        if not any(s.name == name for s in self.authentication.live_sessions()):
            raise not_found("session_not_found", name)
        call.note(user=name)
        self.authentication.end_sessions_of(name)

    async def set_own_password(self, call: Call) -> None:
        if call.principal.by != "session" or self.logins.user(call.principal.name) is None:
            raise forbidden("forbidden", "only a user of this server who is logged in has a password here")
        body = call.body_as(OwnPasswordBody)
        user = await self.authentication.check_own_password(
            call.principal.name, body.old_password, call.address
        )
        await self._save(user.name, body.new_password, user.roles, user.scope)

    # Rules

    async def _save(
        self, name: str, password: str | None, roles: Iterable[str], scope: Iterable[str]
    ) -> None:
        try:
            # In a thread, for the digest of a password takes long on purpose.
            await asyncio.to_thread(self.logins.save_user, name, password, roles, scope)
        except OperatorError as err:
            raise Problem(400, "invalid_user", [str(err)], words=err.text) from err

    def _other(self, call: Call) -> User:
        """The user of the path, whom the caller may change. Raises `Problem`."""
        _check_no_program(call)
        user = self.logins.user(call.path["name"])
        if user is None:
            raise not_found("user_not_found", call.path["name"])
        if user.name == call.principal.name:
            raise conflict("own_user", "nobody changes her own user here; another administrator does")
        self._check_may_give(call, user.roles)
        return user

    def _checked_roles(self, call: Call, names: Iterable[str]) -> set[str]:
        _check_no_program(call)
        roles = set(names)
        check_roles_known(roles or {""}, self.roles.of_people())
        self._check_may_give(call, roles)
        return roles

    def _check_may_give(self, call: Call, roles: Iterable[str]) -> None:
        if lacking := self._lacking(call, roles):
            raise forbidden("forbidden", "you have not the role " + ", ".join(lacking))

    def _lacking(self, call: Call, roles: Iterable[str]) -> Sequence[str]:
        return sorted(r for r in roles if not self.roles.may_give(call.principal.roles, r))


def _check_no_program(call: Call) -> None:
    if call.principal.by == "api-key":
        raise forbidden("forbidden", "users are managed by people who are logged in, not by a program's key")
