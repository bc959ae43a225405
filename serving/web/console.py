"""Operators' pages on an admin API's listener: the API's own sessions, rows and audit log, shown to a person.

A page asks rows of the table (`serving.api.operations`) as its visitor: what she may not read is said in its place, what she
changes is recorded as if a program had called. Nothing can be done here that no row does. Forms carry the session's CSRF
value; reading needs none, for the cookie is not sent along from other sites.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args, get_origin
from urllib.parse import parse_qs, urlencode

from aiohttp import web

from serving.api.authentication import AccessEvent
from serving.api.operations import ApiAnswer, Download, MultipartForm, OperationInput, Part
from serving.api.problems import Problem, words_of
from serving.api.requestbodies import address_of, read_bytes, read_form
from serving.api.sessionroutes import set_session
from serving.language import N_, SOURCE_LANGUAGE, Text, Translatable, as_it_is
from serving.login.sessions import CSRF_COOKIE, SESSION_COOKIE
from serving.web.blocks import Listing
from serving.web.codewords import word_of
from serving.web.formnames import BACK, ROOT, SEEN, SHEET, back_of, new_sheet
from serving.web.forms import SECRETS
from serving.web.listing import render_csv
from serving.web.pages import Frame, LoggedInUser, check_same_site, redirect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from serving.api.operations import Principal
    from serving.api.server import AdminApi
    from serving.login.sessions import Session
    from serving.web.blocks import PageNote, PageView
    from serving.web.pages import NavigationLink, ServerHead, Site

    View = Callable[["ConsoleRequest"], Awaitable[PageView]]
    Gather = Callable[["ConsoleRequest"], Awaitable[dict[str, Any]]]
    FormAct = Callable[["ConsoleRequest", "FormInput"], Awaitable[dict[str, Any] | web.Response]]

T = TypeVar("T")
DOOR = f"{ROOT}/entrar"
FORM_BYTES = 64 * 1024
# Of a form whose session ended so many characters are kept, as an address; what belongs to the session is not.
LONGEST_KEPT = 6_000
_OF_SESSION = ("csrf", SHEET, SEEN)


@dataclass(frozen=True, slots=True)
class ConsoleOutcome(Generic[T]):
    """A row's answer, or the reason there is none in both languages."""

    value: T | None = None
    why: Translatable | None = None


@dataclass(frozen=True, slots=True)
class ConsoleHead:
    """The part of every page that says which server this is and what is wrong with it now, worst first."""

    server: ServerHead | None = None
    alerts: Sequence[PageNote] = ()


async def no_head(_request: ConsoleRequest) -> ConsoleHead:
    """The head of a server that says nothing of itself."""
    return ConsoleHead()


@dataclass(frozen=True, slots=True)
class FormInput:
    """The input of a form: texts by the name of their field, and files."""

    fields: Mapping[str, str]
    files: Mapping[str, Part] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsoleRequest:
    """Rows asked as one visitor."""

    api: AdminApi
    http: web.Request
    principal: Principal
    language: str = SOURCE_LANGUAGE

    @property
    def query(self) -> Mapping[str, str]:
        """The fields of the address."""
        return self.http.query

    def translate(self, text: str | Translatable) -> str:
        """A text in the visitor's language."""
        return (Text(text) if isinstance(text, str) else text).into(self.language)

    async def do(
        self,
        name: str,
        kind: type[T],
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        body: Any = None,
    ) -> T:
        """The answer of the row with that id, of the type its row names. Raises `Problem`; TypeError when the row names another."""
        given = OperationInput(path or {}, query or {}, body)
        answer = await self.api.run(name, self.http, self.principal, given)
        if isinstance(answer, ApiAnswer):
            answer = answer.body
        operation = self.api.operation(name)
        row_kind = None if operation is None else operation.answer
        check_answer(name, Download if isinstance(row_kind, str) else row_kind, kind, answer)
        return cast("T", answer)

    async def fetch(
        self,
        name: str,
        kind: type[T],
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> ConsoleOutcome[T]:
        """The answer of the row with that id, or the reason there is none: for a part of a page."""
        try:
            return ConsoleOutcome(await self.do(name, kind, path, query))
        except Problem as problem:
            return ConsoleOutcome(why=words_of(problem))


def check_answer(name: str, row_kind: object, kind: object, answer: object) -> None:
    """Raise TypeError unless a page expects of a row what the row says it answers, and the answer is of that type."""
    if row_kind != kind:
        raise TypeError(f"a page expects {kind} of {name}; its row answers {row_kind}")
    item = get_args(kind)
    whole = cast("type", get_origin(kind) or kind)
    parts = answer if item and isinstance(answer, list) else []
    wrong = [a for a, t in ((answer, whole), *((p, item[0]) for p in parts)) if not isinstance(a, t)]
    if wrong:
        raise TypeError(f"the row {name} answers {kind}; its handler gave {type(wrong[0]).__name__}")


class Console:
    """The pages of one server's operators."""

    def __init__(
        self,
        api: AdminApi,
        site: Site,
        links: Sequence[NavigationLink],
        head: Callable[[ConsoleRequest], Awaitable[ConsoleHead]] = no_head,
        helps: Mapping[str, Translatable] = MappingProxyType({}),
    ) -> None:
        """``helps`` say by a page's path below the root what the page is for."""
        self._api = api
        self._helps = helps
        self._frame = Frame(replace(site, names={**site.names, "word_of": word_of, "new_sheet": new_sheet}))
        self._links = links
        self._head = head

    def add_to(self, app: web.Application) -> None:
        """Serve the door, the way out, and the style sheet."""
        self._frame.add_static(app.router)
        app.router.add_get(DOOR, self._framed(self._door))
        app.router.add_post(DOOR, self._framed(self._log_in))
        app.router.add_post(f"{ROOT}/salir", self._framed(self._log_out))

    def add_page(self, app: web.Application, path: str, template: str, gather: Gather) -> None:
        """Serve a page below the root."""

        async def page(request: web.Request, session: Session, principal: Principal) -> web.Response:
            values = await gather(self._console_request(request, principal))
            person = await self._person(request, session, principal)
            return self._frame.render(request, template, person=person, **values)

        app.router.add_get(f"{ROOT}{path}", self._framed(self._inside(page)))

    def add_view(self, app: web.Application, path: str, view: View) -> None:
        """Serve a page made of blocks below the root; ``?csv=NAME`` gives its list of that name as a file."""

        async def page(request: web.Request, session: Session, principal: Principal) -> web.Response:
            console_request = self._console_request(request, principal)
            made = await view(console_request)
            file = request.query.get("csv")
            for block in made.blocks:
                if file and isinstance(block, Listing) and block.name == file:
                    return _csv_answer(made, block, request, console_request.language)
            person = await self._person(request, session, principal)
            return self._frame.render_view(
                request, made, person, self._receipt(request), self._helps.get(path)
            )

        app.router.add_get(f"{ROOT}{path}", self._framed(self._inside(page)))

    def _receipt(self, request: web.Request) -> str | None:
        """The summary of the operation that the visitor has just had carried out; None when the address names none."""
        done = self._api.operation(request.query.get("hecho", ""))
        return None if done is None else done.summary

    def add_answer(
        self,
        app: web.Application,
        path: str,
        give: Callable[[ConsoleRequest], Awaitable[web.Response]],
    ) -> None:
        """Serve what is no page below the root, such as a file."""

        async def answer(request: web.Request, _session: Session, principal: Principal) -> web.Response:
            return await give(self._console_request(request, principal))

        app.router.add_get(f"{ROOT}{path}", self._framed(self._inside(answer)))

    def add_file(self, app: web.Application, path: str, name: str) -> None:
        """Serve a row's file below the root."""

        async def give(request: web.Request, _session: Session, principal: Principal) -> web.Response:
            file = await self._console_request(request, principal).do(name, Download)
            return web.Response(body=file.content, headers={"Content-Type": file.media_type})

        app.router.add_get(f"{ROOT}{path}", self._framed(self._inside(give)))

    def add_form(self, app: web.Application, path: str, template: str, gather: Gather, act: FormAct) -> None:
        """Serve a page with a form; what ``act`` answers is shown on the same page, or is a response of its own."""
        self.add_page(app, path, template, gather)

        async def take(request: web.Request, session: Session, principal: Principal) -> web.Response:
            form = await self._checked_form(request, session, principal)
            answer = await act(self._console_request(request, principal), form)
            if isinstance(answer, web.Response):
                return answer
            status = 200 if answer.get("problem") is None else answer["problem"].status
            person = await self._person(request, session, principal)
            return self._frame.render(request, template, person=person, status=status, **answer)

        app.router.add_post(f"{ROOT}{path}", self._framed(self._inside(take)))

    def _console_request(self, request: web.Request, principal: Principal) -> ConsoleRequest:
        language = self._frame.language(request)
        return ConsoleRequest(self._api, request, principal, language)

    async def _checked_form(self, request: web.Request, session: Session, principal: Principal) -> FormInput:
        """The form of a page of this session. Raises `Problem` for another's."""
        _check_same_site(request)
        form = await _read_form(request, self._api.upload_bytes)
        if not hmac.compare_digest(form.fields.get("csrf", "").encode(), session.csrf.encode()):
            self._api.authentication.refuse(
                AccessEvent.CHECK, principal.name, address_of(request), "the form has another session's value"
            )
            raise Problem(
                403,
                words=N_(
                    "The form did not belong to this session, so nothing was done. Open the page again."
                ),
            )
        return form

    def add_rest(self, app: web.Application) -> None:
        """Answer whatever else is asked below the root; the last thing to be added."""

        async def nothing(_request: web.Request, _session: Session, _principal: Principal) -> web.Response:
            raise web.HTTPNotFound

        async def start(_request: web.Request) -> web.Response:
            return redirect(f"{ROOT}/")

        app.router.add_get(ROOT, self._framed(start))
        app.router.add_get(f"{ROOT}/{{tail:.*}}", self._framed(self._inside(nothing)))

    def _framed(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._frame.middleware(request, handler)

        return handle

    def _inside(
        self, handler: Callable[[web.Request, Session, Principal], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            found = self._api.authentication.visitor(request)
            if found is None:
                return await self._interrupted(request)
            session, principal = found
            try:
                return await handler(request, session, principal)
            except Problem as problem:
                person = await self._person(request, session, principal)
                return self._frame.problem(request, problem, person)
            except web.HTTPNotFound:
                refusal = Problem(404, words=N_("There is no such page here."))
                return self._frame.problem(request, refusal, await self._person(request, session, principal))

        return handle

    async def _interrupted(self, request: web.Request) -> web.Response:
        """The door for who has no session (any more), which leads back to the page, a form's with what was typed in it."""
        if request.method != "POST":
            back = back_of(request.path_qs)
            return redirect(DOOR if back in ("", f"{ROOT}/") else f"{DOOR}?{urlencode({BACK: back})}")
        _check_same_site(request)
        form = (await _read_form(request, self._api.upload_bytes)).fields
        kept = {n: v for n, v in form.items() if n not in _OF_SESSION and n.rpartition(".")[2] not in SECRETS}
        back = back_of(f"{request.path}?{urlencode(kept)}", LONGEST_KEPT)
        wrong = (
            N_(
                "Your session had ended, so nothing was done. Log in again: what you typed is kept, but for passwords and files."
            )
            if back
            else N_("Your session had ended, so nothing was done. Log in and begin again.")
        )
        return self._render_door(request, wrong, "", back, 401)

    def _render_door(
        self, request: web.Request, wrong: Translatable | None, name: str, back: str, status: int = 200
    ) -> web.Response:
        return self._frame.render(
            request,
            "console/door.html",
            status=status,
            wrong=wrong,
            name=name,
            back=back,
            oidc=self._api.has_oidc,
        )

    async def _person(self, request: web.Request, session: Session, principal: Principal) -> LoggedInUser:
        head = await self._head(self._console_request(request, principal))
        links = [n for n in self._links if not n.permissions or principal.permissions & set(n.permissions)]
        roles = [word_of(r) or as_it_is(r) for r in sorted(principal.roles)]
        return LoggedInUser(session.name, session.csrf, links, roles, head.server, head.alerts)

    async def _door(self, request: web.Request) -> web.Response:
        if self._api.authentication.visitor(request) is not None:
            return redirect(f"{ROOT}/")
        return self._render_door(request, None, "", back_of(request.query.get(BACK, "")))

    async def _log_in(self, request: web.Request) -> web.Response:
        _check_same_site(request)
        form = (await _read_form(request, FORM_BYTES)).fields
        name, back = form.get("cuenta", ""), back_of(form.get(BACK, ""), LONGEST_KEPT)
        try:
            token, session = await self._api.authentication.log_in(
                name, form.get("clave", ""), address_of(request)
            )
        except Problem as problem:
            wrong = (
                N_("The directory of users did not answer. This server's own users can log in.")
                if problem.status >= 500
                else N_("User or password are not right.")
            )
            return self._render_door(request, wrong, name, back, problem.status)
        answer = redirect(back or f"{ROOT}/")
        set_session(answer, token, session)
        return answer

    async def _log_out(self, request: web.Request) -> web.Response:
        _check_same_site(request)
        found = self._api.authentication.visitor(request)
        form = (await _read_form(request, FORM_BYTES)).fields
        answer = redirect(DOOR)
        if found is None:
            return answer
        if not hmac.compare_digest(form.get("csrf", "").encode(), found[0].csrf.encode()):
            raise Problem(403, words=N_("The form did not belong to this session."))
        self._api.authentication.end(request, address_of(request))
        for name in (SESSION_COOKIE, CSRF_COOKIE):
            answer.del_cookie(name, path="/", secure=True, samesite="Strict")
        return answer


def _csv_answer(view: PageView, listing: Listing, request: web.Request, language: str) -> web.Response:
    first = next((b for b in view.blocks if isinstance(b, Listing) and b.name), None)
    prefix = "" if first is None or first.name == listing.name else f"{listing.name}."
    headers = {"Content-Disposition": f'attachment; filename="{listing.name}.csv"'}
    body = render_csv(listing, request.query, language, prefix)
    return web.Response(text=body, content_type="text/csv", charset="utf-8", headers=headers)


def _check_same_site(request: web.Request) -> None:
    # TLS may end in another process, so the scheme here says nothing; host and port are what must be ours.
    check_same_site(request, f"https://{request.host}", f"http://{request.host}")


async def _read_form(request: web.Request, upload_bytes: int) -> FormInput:
    """A form's fields and files; a field that comes twice counts once. Raises `Problem`."""
    try:
        if request.content_type == "multipart/form-data":
            parts = await read_form(request, MultipartForm({}), upload_bytes)
            fields = {n: p.content.decode("utf-8") for n, p in parts.items() if p.file_name is None}
            return FormInput(fields, {n: p for n, p in parts.items() if p.file_name and p.content})
        if request.content_type != "application/x-www-form-urlencoded":
            raise Problem(415, words=N_("A form of this page was expected."))
        raw = (await read_bytes(request, FORM_BYTES)).decode("utf-8")
        found = parse_qs(raw, keep_blank_values=True, max_num_fields=1000)
    except ValueError as err:
        raise Problem(400, words=N_("The form cannot be read.")) from err
    return FormInput({name: values[0] for name, values in found.items()})
