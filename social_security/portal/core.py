"""What every page of a portal stands on: who is logged in, how a form is read, how a page is shown.

A page is for one role, and the account says which one; whoever is not logged in is sent to the door and nowhere else: no
address that a request names is ever followed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from serving.api.limits import RateLimit
from serving.api.problems import Problem, words_of
from serving.language import N_
from serving.web.pages import Frame, LoggedInUser, NavigationLink, check_same_site, redirect
from social_security.portal.accounts import (
    COMMITTEE,
    COUNTER,
    GUARANTOR,
    OFFICER,
    OPERATOR,
    PERSON,
    REPRESENTATIVE,
    UNIT,
    Accounts,
)
from social_security.portal.entrance import Entrance, address_of
from social_security.portal.queries import ONIESS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import date

    from serving.api.authentication import Clock
    from serving.language import Translatable
    from serving.login.sessions import Session
    from serving.login.users import User
    from serving.web.pages import Site
    from social_security.domain.calendars import Calendar
    from social_security.domain.edition import Edition
    from social_security.portal.pdfsigning import PdfSigner
    from social_security.portal.settings import PortalSettings
    from social_security.wire.publication import PublicationCopy

    Form = Mapping[str, list[str]]
    PageHandler = Callable[[web.Request, "Visitor"], Awaitable[web.StreamResponse]]
    FormHandler = Callable[[web.Request, "Visitor", Form], Awaitable[web.StreamResponse]]
    Plain = Callable[[web.Request], Awaitable[web.StreamResponse]]

FORM_BYTES = 64 * 1024
UPLOAD_BYTES = 10 * 1024 * 1024
_UNIT_LINKS = (
    NavigationLink("/", N_("Requests to answer")),
    NavigationLink("/solicitudes", N_("All requests")),
)
_PERSON_LINKS = (
    NavigationLink("/", N_("My file")),
    NavigationLink("/historia", N_("My history at all institutes")),
    NavigationLink("/calculadora", N_("Pension calculator")),
    NavigationLink("/tramites", N_("My portability cases")),
    NavigationLink("/accesos", N_("Who looked at my data")),
    NavigationLink("/derechos", N_("My ARCO requests")),
)
LINKS = {
    PERSON: _PERSON_LINKS,
    REPRESENTATIVE: _PERSON_LINKS,
    UNIT: _UNIT_LINKS,
    COMMITTEE: _UNIT_LINKS,
    COUNTER: (
        NavigationLink("/", N_("Persons' files")),
        NavigationLink("/casos", N_("Portability cases")),
        NavigationLink("/admisiones", N_("Admissions")),
    ),
    OPERATOR: (
        NavigationLink("/operacion", N_("Applications and gates")),
        NavigationLink("/operacion/convenios", N_("Conventions")),
        NavigationLink("/operacion/compromisos", N_("Commitments")),
        NavigationLink("/operacion/indicadores", N_("Indicators against targets")),
        NavigationLink("/", N_("Public page")),
    ),
    OFFICER: (
        NavigationLink("/", N_("Records under review")),
        NavigationLink("/niveles", N_("Levels of identity")),
    ),
    GUARANTOR: (
        NavigationLink("/", N_("Terms and refusals")),
        NavigationLink("/recursos", N_("Appeals")),
        NavigationLink("/inspeccion", N_("Inspection by case")),
        NavigationLink("/evidencia", N_("Verify evidence")),
        NavigationLink("/politicas", N_("Policies in force")),
    ),
}


@dataclass(frozen=True, slots=True)
class ShownForm:
    """The state of a form: fresh, or what was wrong with it, what was typed (by field), and the HTTP status of that."""

    wrong: Translatable | None = None
    typed: Mapping[str, list[str]] = field(default_factory=dict)
    status: int = 200


FRESH = ShownForm()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is logged in, and the session of the request."""

    user: User
    session: Session

    @property
    def role(self) -> str:
        """The one role of the account."""
        return next(iter(self.user.roles))

    @property
    def person(self) -> LoggedInUser:
        """The user as the layout shows her: name, CSRF value and the links of her role."""
        return LoggedInUser(self.user.name, self.session.csrf, LINKS[self.role])


class Portal:
    """The parts of one portal that its pages share."""

    def __init__(
        self,
        settings: PortalSettings,
        publication: PublicationCopy,
        accounts: Accounts,
        site: Site,
        clock: Clock,
        signer: PdfSigner | None = None,
    ) -> None:
        found = publication.edition().members[settings.member]
        self.publication = publication
        self.code = settings.member
        self.member = found.path
        self.name = found.name
        self.public_url = settings.public_url
        self.zone = ZoneInfo(found.zone)
        self.accounts = accounts
        # Signs persons' certificates; None where the institute has no certificate for it.
        self.signer = signer
        # ONIESS's first page is everybody's; its operators begin at their own.
        self.first = "/operacion" if found.path == ONIESS else "/"
        self.entrance = Entrance(accounts, settings, clock, self.first)
        self.frame = Frame(site)
        self._settings = settings
        self._clock = clock
        self._rates = RateLimit(settings.requests_per_second, settings.requests_per_minute)

    @property
    def edition(self) -> Edition:
        """The lists this portal goes by at this moment."""
        return self.publication.edition()

    @property
    def calendar(self) -> Calendar:
        """The calendar of this portal's member at this moment."""
        return self.publication.calendar(self.code)

    def render(
        self,
        request: web.Request,
        template: str,
        visitor: Visitor | None,
        *,
        status: int = 200,
        **values: Any,
    ) -> web.Response:
        """A page of ``template``, with the navigation of the visitor, or of nobody where it is None."""
        person = None if visitor is None else visitor.person
        return self.frame.render(request, template, person=person, status=status, **values)

    def render_form(
        self, request: web.Request, template: str, visitor: Visitor, shown: ShownForm, **values: Any
    ) -> web.Response:
        """A page with a form: fresh, after what it did (``?hecho=1``), or again with what was wrong and what was typed."""
        return self.render(
            request,
            template,
            visitor,
            status=shown.status,
            wrong=shown.wrong,
            typed=shown.typed,
            done="hecho" in request.query and shown.wrong is None,
            **values,
        )

    def check_mandate(self, visitor: Visitor, day: date) -> None:
        """Let who acts for a person in only while the mandate lasts, everybody else always. Raises `Problem` 403."""
        if visitor.role != REPRESENTATIVE:
            return
        mandate = self.accounts.mandate(visitor.user.name)
        if mandate is None or mandate.until < day:
            raise Problem(
                403,
                words=N_(
                    "The mandate to act for this person has ended, or was never shown. Bring the document to the branch."
                ),
            )

    def page(self, role: str, handler: PageHandler, *others: str) -> Plain:
        """A page for a role, or for other ones too."""
        return self.home(dict.fromkeys((role, *others), handler))

    def home(self, pages: Mapping[str, PageHandler]) -> Plain:
        """An address that shows each role its own page."""

        async def handle(request: web.Request) -> web.StreamResponse:
            visitor = self._visitor(request, *pages)
            if visitor is None:
                return redirect("/entrar")
            return await self._shown(request, visitor, pages[visitor.role](request, visitor))

        return handle

    def act(self, role: str, handler: FormHandler, *others: str) -> Plain:
        """A form for a role, or for other ones too: from this site, of this session."""

        async def handle(request: web.Request) -> web.StreamResponse:
            check_same_site(request, self._settings.public_url)
            visitor = self._visitor(request, role, *others)
            if visitor is None:
                return redirect("/entrar")
            form = await self.read_form(request)
            self.entrance.check_form(request, visitor.session, form.get("csrf", [""])[0])
            return await self._shown(request, visitor, handler(request, visitor, form))

        return handle

    def upload(
        self, role: str, handler: Callable[[web.Request, Visitor, bytes], Awaitable[web.Response]]
    ) -> Plain:
        """A form with one file. The CSRF value stands before the file and is checked before it is read."""

        async def handle(request: web.Request) -> web.StreamResponse:
            check_same_site(request, self._settings.public_url)
            visitor = self._visitor(request, role)
            if visitor is None:
                return redirect("/entrar")
            content = await self._read_file(request, visitor)
            return await self._shown(request, visitor, handler(request, visitor, content))

        return handle

    async def read_form(self, request: web.Request) -> Form:
        """The fields of an ordinary form, each with all its values. Raises `Problem` (415, 400)."""
        if request.content_type != "application/x-www-form-urlencoded":
            raise Problem(415, words=N_("A form of this page was expected."))
        raw = await _read(request, FORM_BYTES)
        try:
            return parse_qs(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=100, errors="strict")
        except ValueError as err:
            raise Problem(400, words=N_("The form cannot be read.")) from err

    async def door(self, request: web.Request) -> web.StreamResponse:
        """``GET /entrar``: the form to log in; who is logged in goes to the first page."""
        if self.entrance.find(request) is not None:
            return redirect(self.first)
        return self.render(
            request, "door.html", None, wrong=None, name="", has_provider=self._settings.oidc.is_set
        )

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """``POST /entrar``: log in by password and second proof; the form again, with what was wrong, when refused."""
        check_same_site(request, self._settings.public_url)
        form = {name: values[0] for name, values in (await self.read_form(request)).items()}
        try:
            return await self.entrance.log_in(request, form)
        except Problem as problem:
            return self.render(
                request,
                "door.html",
                None,
                status=problem.status,
                wrong=words_of(problem),
                name=form.get("cuenta", ""),
                has_provider=self._settings.oidc.is_set,
            )

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """``POST /salir``: end the session, after its form's token is checked."""
        check_same_site(request, self._settings.public_url)
        found = self.entrance.find(request)
        if found is None:
            return redirect("/entrar")
        form = await self.read_form(request)
        self.entrance.check_form(request, found[0], form.get("csrf", [""])[0])
        return self.entrance.log_out(request, found[1])

    @web.middleware
    async def guard(self, request: web.Request, handler: Plain) -> web.StreamResponse:
        """Refuse whoever asks too often, or by another host name, before anything is done. Raises `Problem` (429, 421)."""
        if not self._rates.admits(address_of(request), self._clock.monotonic()):
            raise Problem(429, words=N_("Too many requests; wait a minute."))
        if request.host.lower() != self._settings.public_host.lower():
            raise Problem(
                421,
                words=N_("This portal has another name; check the address."),
            )
        return await handler(request)

    def _visitor(self, request: web.Request, *roles: str) -> Visitor | None:
        found = self.entrance.find(request)
        if found is None:
            return None
        visitor = Visitor(found[1], found[0])
        if visitor.role not in roles:
            raise Problem(403, words=N_("This page is not for your account."))
        return visitor

    async def _shown(
        self, request: web.Request, visitor: Visitor, answer: Awaitable[web.StreamResponse]
    ) -> web.StreamResponse:
        """The answer, or its problem on a page with the visitor's own navigation."""
        try:
            return await answer
        except Problem as problem:
            return self.frame.problem(request, problem, visitor.person)

    async def _read_file(self, request: web.Request, visitor: Visitor) -> bytes:
        unreadable = Problem(400, words=N_("The form cannot be read."))
        if not request.content_type.startswith("multipart/form-data"):
            raise unreadable
        checked = False
        try:
            reader = await request.multipart()
            while (part := await reader.next()) is not None:
                if not isinstance(part, BodyPartReader):
                    raise unreadable
                content = bytearray()
                while chunk := await part.read_chunk():
                    content += chunk
                    if len(content) > (UPLOAD_BYTES if checked else FORM_BYTES):
                        raise Problem(
                            413,
                            words=N_("The file is larger than {value} MiB.", value=UPLOAD_BYTES // 2**20),
                        )
                if not checked:
                    sent = content.decode("utf-8", "replace") if part.name == "csrf" else ""
                    self.entrance.check_form(request, visitor.session, sent)
                    checked = True
                elif part.name == "archivo":
                    return bytes(content)
        except (ValueError, AssertionError, EOFError, LookupError, HttpProcessingError) as err:
            raise unreadable from err
        raise unreadable


async def _read(request: web.Request, limit: int) -> bytes:
    found = bytearray()
    async for chunk in request.content.iter_chunked(16_384):
        found += chunk
        if len(found) > limit:
            raise web.HTTPRequestEntityTooLarge(limit, len(found))
    return bytes(found)
