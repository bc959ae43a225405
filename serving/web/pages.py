"""Pages for people, the same for every server here: language, layout, headers, errors. Rendered here, no script at all.

A page is a jinja2 template over ``serving/web/templates/base.html``; its texts stand in English, ``_("in English")``, and in
other languages in the catalogue (`serving.language`). Autoescape is on and undefined names are errors. What a browser may do with a page is
decided by `POLICY`: our own style sheet, our own forms, nothing else. Nothing that was asked for is kept in a cache.

A handler raises `Problem` for what a person must be told; anything unexpected is answered by its id alone.
"""

from __future__ import annotations

import logging
import re
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import jinja2
from aiohttp import web
from markupsafe import Markup

from serving.api.problems import Problem, words_of
from serving.language import N_, Text, language_name, languages, negotiate
from serving.web.blocks import Listing
from serving.web.listing import arranged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from serving.language import Translatable
    from serving.web.blocks import PageNote, PageView

log = logging.getLogger("pages")

HERE = Path(__file__).parent / "templates"
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# Not no-referrer: with it browsers send ``Origin: null`` with a form, and we look at Origin.
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
LANGUAGE_COOKIE = "idioma"
ZONE_COOKIE = "zona"
COOKIE_AGE_S = 365 * 24 * 3600
USUAL_ZONE = "America/Mexico_City"
# The zones a reader may choose: the server's own comes first, then these.
ZONES = (
    "UTC",
    "America/Mexico_City",
    "America/Cancun",
    "America/Chihuahua",
    "America/Ciudad_Juarez",
    "America/Hermosillo",
    "America/Mazatlan",
    "America/Tijuana",
    "America/Bogota",
    "America/Sao_Paulo",
    "Europe/Madrid",
    "Europe/Tallinn",
)
_MONTHS = (
    N_("January"),
    N_("February"),
    N_("March"),
    N_("April"),
    N_("May"),
    N_("June"),
    N_("July"),
    N_("August"),
    N_("September"),
    N_("October"),
    N_("November"),
    N_("December"),
)
_STATIC = {"estilo.css": "text/css", "icono.svg": "image/svg+xml"}

# Behind a separator of identifiers, addresses and distinguished names that something follows.
_SEPARATED: Final = re.compile(r"(?<=[/:,=])(?=[^\s/:,=\d])|(?<=[^\s/]/)(?=\d)")
# Characters of a day as RFC 3339 has it.
_DATE_LENGTH: Final = 10


@dataclass(frozen=True, slots=True)
class NavigationLink:
    """One entry of the navigation or of the footer; with permissions, only for who has one of them."""

    href: str
    text: Translatable
    permissions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """The parts that all pages of one server share. ``root`` is where they begin, without a slash at the end."""

    name: Translatable
    templates: Path
    root: str = ""
    zone: str = USUAL_ZONE
    footer: Sequence[NavigationLink] = ()
    secure: bool = True
    # What templates may call beside the frame's own names, by name.
    names: dict[str, Any] = field(default_factory=dict)
    languages: Callable[[], Sequence[str]] = languages


@dataclass(frozen=True, slots=True)
class ServerHead:
    """Which server this is, as every page of its operators says: its identifier, its owner's name, its version, its address, and which of
    several nodes it is."""

    id: str
    name: str = ""
    version: str = ""
    address: str = ""
    kind: Translatable | None = None


@dataclass(frozen=True, slots=True)
class LoggedInUser:
    """Who is logged in, as the layout shows it, with the value that her forms carry; and what she is told on every page."""

    name: str
    csrf: str
    links: Sequence[NavigationLink] = ()
    roles: Sequence[Translatable] = ()
    server: ServerHead | None = None
    alerts: Sequence[PageNote] = ()


class Frame:
    """Renders the pages of one site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader([site.templates, HERE]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(site.names)

    def language(self, request: web.Request) -> str:
        """The language of the answer to a request."""
        requested = request.query.get("lang")
        among = self.site.languages()
        chosen = requested if requested in among else request.cookies.get(LANGUAGE_COOKIE)
        return negotiate(chosen, request.headers.get("Accept-Language", ""), among)

    def zone(self, request: web.Request) -> str:
        """The name of the zone that times are shown in."""
        return chosen_zone(request, self.site.zone)

    def render(
        self,
        request: web.Request,
        template: str,
        *,
        person: LoggedInUser | None = None,
        status: int = 200,
        **values: Any,
    ) -> web.Response:
        """The page of a template, in the reader's language."""
        language, zone = self.language(request), self.zone(request)

        def translate(text: str | Translatable, **values: object) -> str:
            return (Text(text, values) if isinstance(text, str) else text).into(language)

        text = self._environment.get_template(template).render(
            _=translate,
            lang=language,
            language=language_name(language),
            others=[_switch(request, other) for other in self.site.languages() if other != language],
            site=self.site,
            path=request.path,
            person=person,
            day=lambda value: _day_of(value, language, zone),
            breaking=_breaking,
            moment=lambda value: _moment(value, language, zone),
            zone=zone,
            zones=dict.fromkeys((self.site.zone, *ZONES)),
            kept=[(n, v) for n, v in request.query.items() if n not in (ZONE_COOKIE, "lang", "hecho")],
            **values,
        )
        return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")

    def render_view(
        self,
        request: web.Request,
        view: PageView,
        person: LoggedInUser | None = None,
        receipt: str | None = None,
        page_help: Translatable | None = None,
    ) -> web.Response:
        """A page made of blocks; the first list with a name has plain names in addresses, the others are told apart by theirs."""
        language = self.language(request)
        first = next((b.name for b in view.blocks if isinstance(b, Listing) and b.name), "")
        blocks = [
            arranged(b, request.query, language, "" if b.name in ("", first) else f"{b.name}.")
            if isinstance(b, Listing)
            else b
            for b in view.blocks
        ]
        shown = replace(view, blocks=blocks)
        return self.render(
            request, "console/view.html", person=person, view=shown, receipt=receipt, help=page_help
        )

    def problem(
        self, request: web.Request, problem: Problem, person: LoggedInUser | None = None
    ) -> web.Response:
        """The page that says what is wrong."""
        return self.render(
            request, "problem.html", person=person, status=problem.status, text=words_of(problem)
        )

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Errors become pages, answers get their headers, a chosen language is remembered."""
        answer = await self._answered(request, handler)
        for name, value in PAGE_HEADERS.items():
            answer.headers.setdefault(name, value)
        if self.site.secure:
            answer.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        for query, cookie, allowed in (
            ("lang", LANGUAGE_COOKIE, self.site.languages()),
            (ZONE_COOKIE, ZONE_COOKIE, ZONES),
        ):
            if request.query.get(query) in allowed:
                answer.set_cookie(
                    cookie,
                    request.query[query],
                    path=self.site.root or "/",
                    max_age=COOKIE_AGE_S,
                    secure=self.site.secure,
                    httponly=True,
                    samesite="Lax",
                )
        return answer

    async def _answered(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            return self.problem(request, problem)
        except web.HTTPException as err:
            return self.problem(request, _http_problem(err.status))
        except (ConnectionError, TimeoutError):
            raise
        except Exception as err:
            # Neither text nor traceback: both may hold what a person asked for.
            fault_id = uuid.uuid4().hex
            log.error(
                "a page failed unexpectedly",
                extra={"event": "internal_error", "fault_id": fault_id, "reason": type(err).__name__},
            )
            return self.problem(
                request,
                Problem(
                    500,
                    words=N_(
                        "Something failed on our side. Nothing was lost; tell your institute this number: {fault_id}",
                        fault_id=fault_id,
                    ),
                ),
            )

    def add_static(self, router: web.UrlDispatcher) -> None:
        """Serve the style sheet and the icon."""
        for name, kind in _STATIC.items():
            router.add_get(f"{self.site.root}/estatico/{name}", _file(HERE / name, kind))


def _moment(value: str | datetime, language: str, zone: str) -> Markup:
    """A time in the reader's zone, UTC behind it; a text that is no time stays as it is."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return Markup("{}").format(value)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    there, utc = at.astimezone(ZoneInfo(zone)), at.astimezone(UTC)
    return Markup(
        '<time datetime="{:%Y-%m-%dT%H:%M:%SZ}" title="{:%Y-%m-%d %H:%M:%S} UTC"><span>{},</span> <span>{:%H:%M} {}</span></time>'
    ).format(utc, utc, _day(there.date(), language), there, _offset(there))


def _day_of(value: str | date, language: str, zone: str) -> str:
    """A day; of a time the one in the reader's zone, UTC behind it. A text that is neither stays as it is."""
    if not isinstance(value, str) or len(value) <= _DATE_LENGTH:
        return _day(value, language)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return value
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{:%Y-%m-%dT%H:%M:%SZ}" title="{:%Y-%m-%d %H:%M:%S} UTC">{}</time>').format(
        utc, utc, day_text(at, language, zone)
    )


def day_text(at: datetime, language: str, zone: str) -> str:
    """The day of a time in a zone as a text, for a sentence or a picture."""
    return _day(at.astimezone(ZoneInfo(zone)).date(), language)


def _breaking(text: str) -> Markup:
    """A text of machines that a line may break behind its separators, before it breaks within a word."""
    return Markup("<wbr>").join(_SEPARATED.split(text))


def moment_text(at: datetime, language: str, zone: str) -> str:
    """A time in a zone as a text, with the zone's distance from UTC, for a sentence."""
    there = at.astimezone(ZoneInfo(zone))
    return f"{_day(there.date(), language)}, {there:%H:%M} {_offset(there)}"


def _offset(there: datetime) -> str:
    """The offset of a time's zone from UTC then, as UTC−6 or UTC+5:30."""
    minutes = int((there.utcoffset() or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    sign = "" if not minutes else "+" if minutes > 0 else "\N{MINUS SIGN}"
    return f"UTC{sign}{hours or ''}{f':{rest:02}' if rest else ''}" if minutes else "UTC"


def chosen_zone(request: web.Request, usual: str) -> str:
    """The zone that a reader chose, by the address or before; the usual one for whatever is none of `ZONES`."""
    chosen = request.query.get(ZONE_COOKIE) or request.cookies.get(ZONE_COOKIE)
    return chosen if chosen in ZONES else usual


def utc_of(value: str, zone: str) -> str:
    """The time of a form's field, which is in the reader's zone, as RFC 3339 in UTC. Raises `Problem` for what is no time."""
    try:
        at = datetime.fromisoformat(value)
        there = at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))
        return f"{there.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError) as err:
        raise Problem(
            400, words=N_("“{value}” is no time: a time is expected as 2027-01-31T08:30.", value=value[:40])
        ) from err


def redirect(place: str) -> web.Response:
    """Go to another page of this site by GET; ``place`` is ours, never a request's."""
    return web.Response(status=303, headers={"Location": place})


def check_same_site(request: web.Request, *origins: str) -> None:
    """Refuse a form that another site sent. ``origins`` are ours, as ``https://portal.example``.

    Browsers say where a form came from in ``Sec-Fetch-Site``, older ones in ``Origin``; a program that is no browser says
    neither, and has no session of anybody's to misuse. Sessions have a CSRF value beside this.
    """
    fetch_site = request.headers.get("Sec-Fetch-Site")
    sent_by = request.headers.get("Origin")
    if fetch_site not in (None, "same-origin", "none") or (sent_by is not None and sent_by not in origins):
        raise Problem(
            403,
            words=N_("The form was sent from another site, so nothing was done. Start again from this page."),
        )


def _switch(request: web.Request, language: str) -> dict[str, str]:
    # The query alone: whatever stands in the path of a request, the link stays here.
    query = request.rel_url.update_query(lang=language).raw_query_string
    tag = language.replace("_", "-")  # BCP 47
    return {"code": language, "tag": tag, "name": language_name(language), "href": f"?{query}"}


def _day(value: str | date, language: str) -> str:
    found = date.fromisoformat(value[:10]) if isinstance(value, str) else value
    month = _MONTHS[found.month - 1]
    return N_("{day} {month} {year}", day=found.day, month=month, year=found.year).into(language)


def _http_problem(status: int) -> Problem:
    if status == 404:
        return Problem(404, words=N_("There is no such page here."))
    if status == 405:
        return Problem(405, words=N_("This page is not used that way."))
    if status == 413:
        return Problem(413, words=N_("What was sent is too large."))
    return Problem(status, words=N_("The browser's request was not understood."))


def _file(path: Path, kind: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    content = path.read_bytes()

    async def give(_request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=content, content_type=kind, headers={"Cache-Control": "public, max-age=3600"}
        )

    return give
