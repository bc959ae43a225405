"""Pages about people, the same in both servers' consoles: users with their roles and sessions, and one's own account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving.api.commonapi import UserView
from serving.api.useroperations import AdminUserView, SessionView
from serving.language import N_
from serving.web.acting import act, act_cell
from serving.web.blocks import (
    Cell,
    Column,
    FactSheet,
    Listing,
    PageLink,
    PageView,
    code,
    link,
    moment,
    number,
    phrase,
    several,
    text,
)
from serving.web.codewords import word
from serving.web.formnames import ROOT

if TYPE_CHECKING:
    from serving.language import Translatable
    from serving.login.users import Roles
    from serving.web.console import ConsoleRequest

CONSEQUENCES: Final[dict[str, Translatable]] = {
    "post_users": N_("Whoever has this password may do what the roles may, on this server. Tell it in person; its holder changes it under “My account”."),
    "put_users_name_roles": N_("The roles hold from now on, and the user's sessions end."),
    "put_users_name_password": N_("The password until now holds no longer, and the user's sessions end."),
    "put_users_name_disable": N_("The user cannot log in, and its sessions end. Keys of programs that it made go on: revoke them on their page. It can be switched on again."),
    "put_users_name_enable": N_("The user may log in again with the password and roles it had."),
    "delete_users_name": N_("The user goes with its password. Keys of programs that it made go on: revoke them on their page. This cannot be undone; the audit trail keeps the name."),
    "delete_sessions_name": N_("The user is logged out everywhere, and may log in again: switch it off to keep it out."),
    "put_user_password": N_("The new password holds from now on, and every session of yours ends, this one too: log in again."),
}  # fmt: skip
# Filled in by `offered_roles`; the operation's types name it.
OF_PEOPLE: Final = "roles of people"


def offered_roles(roles: Roles) -> dict[str, tuple[str, ...]]:
    """The roles of a server that its forms offer, by the name that an operation's type has for them."""
    return {OF_PEOPLE: tuple(sorted(roles.of_people()))}


async def users(request: ConsoleRequest) -> PageView:
    """Every user, what it may do, whether it is logged in; and who is logged in without being one, by another server's word."""
    found = await request.do("get_users", list[AdminUserView])
    columns = (
        Column(N_("User"), "usuario"),
        Column(N_("Roles")),
        Column(N_("State"), "estado"),
        Column(N_("Sessions"), "sesiones", right=True),
        Column(N_("What can be done")),
    )
    rows = tuple(
        (
            code(u.name),
            several(
                *(word(r) for r in u.roles),
                several(phrase(N_("only for"), "note"), *(code(c) for c in u.scope)) if u.scope else None,
            ),
            phrase(N_("switched off"), "caution") if u.is_disabled else phrase(N_("may log in"), "good"),
            number(u.sessions),
            _acts(request, u),
        )
        for u in found
    )
    links = (act(request, "post_users", N_("Make a user"), main=True),)
    lead = N_(
        "You may make and change users who have no role that you lack yourself; your own user another administrator changes."
    )
    return PageView(
        N_("Users"),
        [
            Listing(
                N_("Users of this server"),
                columns,
                rows,
                N_("No user of its own: the first is made by the command line."),
                "usuarios",
            ),
            await _sessions(request),
        ],
        links,
        lead=lead,
    )


def _acts(request: ConsoleRequest, user: AdminUserView) -> Cell:
    named = {"name": user.name}
    if user.name == request.principal.name:
        return link(N_("My account"), f"{ROOT}/cuenta")
    if not user.may_change:
        return text("")
    switch = (
        act_cell(request, "put_users_name_enable", N_("Switch on"), named)
        if user.is_disabled
        else act_cell(request, "put_users_name_disable", N_("Switch off"), named)
    )
    return several(
        act_cell(request, "put_users_name_roles", N_("Other roles"), named, {"roles": "\n".join(user.roles)}),
        act_cell(request, "put_users_name_password", N_("New password"), named),
        switch,
        act_cell(request, "delete_users_name", N_("Delete"), named),
    )


async def _sessions(request: ConsoleRequest) -> Listing:
    found = await request.do("get_sessions", list[SessionView])
    columns = (
        Column(N_("User")),
        Column(N_("Logged in by")),
        Column(N_("Last used")),
        Column(N_("What can be done")),
    )
    rows = tuple(
        (
            code(s.name),
            phrase(N_("the identity provider") if s.is_vouched else N_("password")),
            moment(s.used_at),
            several(act_cell(request, "delete_sessions_name", N_("End its sessions"), {"name": s.name})),
        )
        for s in found
    )
    return Listing(N_("Who is logged in"), columns, rows, N_("Nobody."), "sesiones")


async def account(request: ConsoleRequest) -> PageView:
    """Who one is to this server, and a new password."""
    me = await request.do("get_user", UserView)
    facts = FactSheet(
        (
            (N_("User"), code(me.username)),
            (N_("Roles"), several(*(word(r) for r in me.roles))),
            (
                N_("Only for"),
                several(*(code(c) for c in sorted(request.principal.scope)))
                if request.principal.scope
                else phrase(N_("every client")),
            ),
        )
    )
    links = (act(request, "put_user_password", N_("Change my password"), main=True),)
    trail = (
        (PageLink(N_("Users"), f"{ROOT}/usuarios"),)
        if "VIEW_ADMIN_USERS" in request.principal.permissions
        else ()
    )
    return PageView(N_("My account"), [facts], links, trail)
