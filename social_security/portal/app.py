"""The composition root of a portal: builds its parts, and the table of its addresses.

A portal is a process of its own: it faces the internet, holds no person's data and no key of its member's but the one that signs
certificates, where there is one, and can ask only what the member's gateway lets it ask.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from serving.api.authentication import Clock
from serving.api.oidclogin import OidcLogin
from serving.errors import OperatorError
from serving.language import N_, as_it_is
from serving.login.oidc.provider import Provider
from serving.login.users import Roles
from serving.process.loops import Loops
from serving.storage.keysafe import KeySafe
from serving.web.pages import NavigationLink, Site
from social_security.clock import exercise_clock, machine_clock
from social_security.domain import pack
from social_security.domain.notices import notice_of, notice_text
from social_security.portal import words
from social_security.portal.accessproofs import AccessProofs
from social_security.portal.accounts import (
    COMMITTEE,
    COUNTER,
    GUARANTOR,
    OFFICER,
    OPERATOR,
    PERSON,
    REPRESENTATIVE,
    STAFF,
    UNIT,
    Accounts,
)
from social_security.portal.answering import AnsweringPages
from social_security.portal.appeals import AppealPages
from social_security.portal.core import Portal
from social_security.portal.counter import CounterPages
from social_security.portal.guarantor import GuarantorPages, supervised
from social_security.portal.officer import OfficerPages
from social_security.portal.operating import OperatorPages
from social_security.portal.pdfsigning import load_signer
from social_security.portal.person import PersonPages
from social_security.portal.personcases import PersonCasePages
from social_security.portal.personlog import AccessPages
from social_security.portal.public import PublicPages
from social_security.portal.queries import ONIESS, REGISTRY, PersonQueries, Supervising
from social_security.portal.staffqueries import StaffQueries
from social_security.portal.workwords import worked
from social_security.wire.gatewayclient import GatewayClient
from social_security.wire.publication import PublicationCopy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from datetime import datetime

    from argon2 import PasswordHasher

    from social_security.domain.edition import Edition
    from social_security.portal.core import Visitor
    from social_security.portal.pdfsigning import PdfSigner
    from social_security.portal.settings import PortalSettings

# Members whose portal knows accounts of one role only; a guarantor's are GUARANTOR.
ONLY_ROLES = {"00-ONIESS": OPERATOR, "00-RNSS": OFFICER}
TEMPLATES = Path(__file__).parent / "templates"
FOOTER = (
    NavigationLink("/aviso", N_("Privacy notice")),
    NavigationLink("/accesibilidad", N_("Accessibility")),
)


def portal_name(edition: Edition, code: str) -> str:
    """The name that a member's portal goes by. Raises `OperatorError` for a member that no list knows."""
    found = edition.members.get(code)
    if found is None:
        raise OperatorError(
            N_(
                "{code} is no member in the lists that this portal goes by; expected one as 15-ISSEMYM",
                code=code[:40],
            )
        )
    return found.name if found.path == ONIESS or edition.is_guarantor(code) else f"Portal · {found.name}"


def make_site(settings: PortalSettings, publication: PublicationCopy) -> Site:
    """The frame that all pages of the portal share: name, templates, zone, words."""
    edition = publication.edition()
    return Site(
        as_it_is(portal_name(edition, settings.member)),
        TEMPLATES,
        zone=edition.members[settings.member].zone,
        footer=FOOTER,
        secure=settings.is_secure,
        names={
            "named": words.named,
            "worked": worked,
            "purpose": words.purpose,
            "action": words.action,
            "member_name": lambda path: publication.edition().named(path),
            "number": words.number,
            "relevant_terms": words.relevant_terms,
            "cause": words.cause,
            "error": words.error,
            "level": words.level,
            "scheme": words.scheme,
            "indicator_words": words.indicator_words,
            "indicator_target": words.indicator_target,
            "indicator_source": words.indicator_source,
            "indicator_value": words.indicator_value,
            "rights": words.RIGHTS,
            "outcomes": words.OUTCOMES,
            "purposes": tuple(pack.purposes()),
            "data": words.DATA,
            "opposable": words.OPPOSABLE,
        },
    )


def build(folder: Path, settings: PortalSettings, hasher: PasswordHasher | None = None) -> web.Application:
    """The application of a member's portal; another hasher than the usual is for tests. Raises `OperatorError`."""
    now: Callable[[], datetime] = (
        exercise_clock(Path(settings.clock_file)) if settings.clock_file else machine_clock
    )
    publication = _lists(folder, settings, now)
    site, edition = make_site(settings, publication), publication.edition()
    accounts = Accounts(folder, hasher)
    member = edition.members[settings.member].path
    gateway = GatewayClient(settings.gateway, member, settings.policy)
    gateway.edition = publication.edition
    # Logins live by the machine's clock whatever an exercise's shows: a telephone's codes follow it.
    portal = Portal(
        settings, publication, accounts, site, Clock(machine_clock, time.monotonic), _signer(folder, settings)
    )
    app = web.Application(middlewares=[portal.frame.middleware, portal.guard])
    portal.frame.add_static(app.router)
    app.router.add_get("/entrar", portal.door)
    app.router.add_post("/entrar", portal.log_in)
    app.router.add_post("/salir", portal.log_out)
    if settings.oidc.is_set:
        _staff_login(portal, settings).add_to(app)
    app.router.add_get("/aviso", _notice_page(portal, "notice.html", settings))
    app.router.add_get("/accesibilidad", _notice_page(portal, "accessibility.html", settings))
    if member == ONIESS:
        public = PublicPages(portal, gateway, now)
        app.router.add_get("/", public.platform)
        app.router.add_get("/estados.csv", public.states_csv)
        for name in ("indicadores", "negativas"):
            app.router.add_get(f"/{name}.csv", public.table_csv)
        _add_operators(app, portal, OperatorPages(portal, gateway, now))
    elif member == REGISTRY:
        _add_officers(app, portal, OfficerPages(portal, gateway, now))
    elif edition.is_guarantor(settings.member):
        _add_guarantor(app, portal, GuarantorPages(portal, Supervising(gateway, now), settings, folder, now))
        _add_appeals(
            app, portal, AppealPages(portal, StaffQueries(gateway, now), supervised(edition, settings))
        )
    else:
        _add_institute(app, portal, gateway, member, now)
        proofs = AccessProofs(settings.gateway, folder)
        accesses = {
            role: AccessPages(portal, PersonQueries(gateway, member, now, role), proofs, now)
            for role in (PERSON, REPRESENTATIVE)
        }
        _add_accesses(app, portal, accesses, now)

    fetching = publication.loop(gateway, settings.publication_s)

    async def close(_app: web.Application) -> AsyncIterator[None]:
        loops = Loops()
        loops.start((fetching,))
        yield
        await loops.stop()
        await gateway.close()
        accounts.close()

    app.cleanup_ctx.append(close)
    return app


def _lists(folder: Path, settings: PortalSettings, now: Callable[[], datetime]) -> PublicationCopy:
    """The lists that the portal goes by. Raises `OperatorError`."""
    try:
        return PublicationCopy(folder, settings.member, None, now)
    except ValueError as err:
        raise OperatorError(
            N_("the publication kept in {folder} cannot be used: {err}", folder=folder, err=err)
        ) from err


def _signer(folder: Path, settings: PortalSettings) -> PdfSigner | None:
    """What signs persons' certificates, where the member has a certificate for it. Raises `OperatorError`."""
    try:
        return load_signer(folder, KeySafe(settings.seal.seals(os.environ)))
    except ValueError as err:
        raise OperatorError(N_("certificates cannot be signed: {err}", err=err)) from err


def _add_institute(
    app: web.Application, portal: Portal, gateway: GatewayClient, member: str, now: Callable[[], datetime]
) -> None:
    """The pages of an institute: for persons, for its counter and its units, and for whoever verifies a certificate."""
    asking = StaffQueries(gateway, now)
    answering, counter = (
        AnsweringPages(portal, asking, [member], "/solicitudes"),
        CounterPages(portal, asking),
    )
    asks = {role: PersonQueries(gateway, member, now, role) for role in (PERSON, REPRESENTATIVE)}
    pages = {role: PersonPages(portal, queries, now) for role, queries in asks.items()}
    hers = partial(_of_role, portal, now, pages)
    homes = {
        PERSON: hers(PersonPages.file_page),
        REPRESENTATIVE: hers(PersonPages.file_page),
        COUNTER: counter.home,
        UNIT: answering.pending,
        COMMITTEE: answering.pending,
    }
    app.router.add_get("/", portal.home(homes))
    _add_person(app, portal, hers)
    app.router.add_get("/verificar", pages[PERSON].check_certificate)
    own_cases = {role: PersonCasePages(portal, queries) for role, queries in asks.items()}
    shown, moved = (
        _of_role(portal, now, own_cases, handler)
        for handler in (PersonCasePages.cases, PersonCasePages.advance)
    )
    app.router.add_get("/tramites", portal.page(PERSON, shown, REPRESENTATIVE))
    app.router.add_get("/tramites/{caso}", portal.page(PERSON, shown, REPRESENTATIVE))
    app.router.add_post("/tramites/{caso}", portal.act(PERSON, moved, REPRESENTATIVE))
    _add_staff(app, portal, answering, counter)


def _add_accesses(
    app: web.Application, portal: Portal, pages: Mapping[str, AccessPages], now: Callable[[], datetime]
) -> None:
    for path, page in (
        ("/accesos", AccessPages.at_institute),
        ("/accesos/registro", AccessPages.at_registry),
        ("/accesos/prueba", AccessPages.proof),
    ):
        app.router.add_get(path, portal.page(PERSON, _of_role(portal, now, pages, page), REPRESENTATIVE))


def _of_role(
    portal: Portal,
    now: Callable[[], datetime],
    pages: Mapping[str, object],
    handler: Callable[..., Awaitable[web.StreamResponse]],
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """A person's page or act, by whose account is logged in: hers, or that of who acts for her while the mandate lasts."""

    async def handle(request: web.Request, visitor: Visitor, *form: object) -> web.StreamResponse:
        portal.check_mandate(visitor, now().astimezone(portal.zone).date())
        return await handler(pages[visitor.role], request, visitor, *form)

    return handle


def _staff_login(portal: Portal, settings: PortalSettings) -> OidcLogin:
    """Logins by the member's OpenID provider, for the roles of those who work there; a person has her account of the branch."""
    only = GUARANTOR if portal.edition.is_guarantor(settings.member) else ONLY_ROLES.get(settings.member)
    roles = Roles(dict.fromkeys((only,) if only else STAFF, frozenset()), {})
    clock = Clock(machine_clock, time.monotonic)
    provider = Provider(settings.oidc, os.environ, time.monotonic)
    entrance = portal.entrance
    return OidcLogin(settings.oidc, provider, entrance, roles, clock, welcome=entrance.welcome)


def _add_person(
    app: web.Application, portal: Portal, hers: Callable[..., Callable[..., Awaitable[web.StreamResponse]]]
) -> None:
    pages, router = PersonPages, app.router
    for path, page in (
        ("/historia", pages.whole_history),
        ("/historia/constancia.pdf", pages.certificate),
        ("/calculadora", pages.calculator),
        ("/derechos", pages.requests),
        ("/derechos/nueva", pages.new_request),
        ("/derechos/{folio}", pages.one_request),
    ):
        router.add_get(path, portal.page(PERSON, hers(page), REPRESENTATIVE))
    for path, act in (
        ("/derechos/nueva", pages.file_request),
        ("/derechos/{folio}/aclarar", pages.clarify),
        ("/derechos/{folio}/recurrir", pages.appeal),
    ):
        router.add_post(path, portal.act(PERSON, hers(act), REPRESENTATIVE))
    for path in ("/derechos/{folio}/aclarar", "/derechos/{folio}/recurrir"):
        # Where the language switch of an answer leads.
        router.add_get(path, portal.page(PERSON, hers(pages.one_request), REPRESENTATIVE))


def _add_staff(
    app: web.Application, portal: Portal, answering: AnsweringPages, counter: CounterPages
) -> None:
    router = app.router
    router.add_get("/solicitudes", portal.page(UNIT, answering.every, COMMITTEE))
    router.add_get("/solicitudes/{folio}", portal.page(UNIT, answering.one, COMMITTEE))
    router.add_post("/solicitudes/{folio}", portal.act(UNIT, answering.answer, COMMITTEE))
    router.add_get("/casos", portal.page(COUNTER, counter.cases))
    router.add_post("/casos", portal.act(COUNTER, counter.open_case))
    router.add_get("/casos/{caso}", portal.page(COUNTER, counter.case))
    router.add_post("/casos/{caso}", portal.act(COUNTER, counter.advance_case))
    router.add_get("/admisiones", portal.page(COUNTER, counter.admissions))
    router.add_get("/admisiones/{caso}", portal.page(COUNTER, counter.admission))
    router.add_post("/admisiones/{caso}", portal.act(COUNTER, counter.advance_admission))
    router.add_get("/expediente", portal.page(COUNTER, counter.home))
    router.add_post("/expediente", portal.act(COUNTER, counter.certify))


def _add_operators(app: web.Application, portal: Portal, pages: OperatorPages) -> None:
    router = app.router
    router.add_get("/operacion", portal.page(OPERATOR, pages.applications))
    router.add_get("/operacion/altas/{caso}", portal.page(OPERATOR, pages.application))
    router.add_post("/operacion/altas/{caso}", portal.act(OPERATOR, pages.decide))
    router.add_get("/operacion/convenios", portal.page(OPERATOR, pages.conventions))
    router.add_get("/operacion/compromisos", portal.page(OPERATOR, pages.commitments))
    router.add_post("/operacion/compromisos", portal.act(OPERATOR, pages.note_commitment))
    router.add_get("/operacion/indicadores", portal.page(OPERATOR, pages.indicators))


def _add_officers(app: web.Application, portal: Portal, pages: OfficerPages) -> None:
    router = app.router
    router.add_get("/", portal.page(OFFICER, pages.reviews))
    router.add_post("/", portal.act(OFFICER, pages.resolve))
    router.add_get("/niveles", portal.page(OFFICER, pages.levels))
    router.add_post("/niveles", portal.act(OFFICER, pages.raise_level))


def _add_appeals(app: web.Application, portal: Portal, pages: AppealPages) -> None:
    router = app.router
    router.add_get("/recursos", portal.page(GUARANTOR, pages.pending))
    router.add_get("/recursos/todos", portal.page(GUARANTOR, pages.every))
    router.add_get("/recursos/{instituto}/{folio}", portal.page(GUARANTOR, pages.one))
    router.add_post("/recursos/{instituto}/{folio}", portal.act(GUARANTOR, pages.answer))
    router.add_get("/inspeccion", portal.page(GUARANTOR, pages.inspection))


def _add_guarantor(app: web.Application, portal: Portal, pages: GuarantorPages) -> None:
    app.router.add_get("/", portal.page(GUARANTOR, pages.terms))
    app.router.add_get("/politicas", portal.page(GUARANTOR, pages.policies))
    app.router.add_get("/evidencia", portal.page(GUARANTOR, pages.evidence))
    app.router.add_post("/evidencia", portal.upload(GUARANTOR, pages.verify))


def _notice_page(
    portal: Portal, template: str, settings: PortalSettings
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A page for everybody."""

    async def give(request: web.Request) -> web.StreamResponse:
        uri, digest = notice_of(portal.edition, settings.member)
        text = notice_text(portal.edition, settings.member)
        return portal.render(request, template, None, text=text, uri=uri, digest=digest)

    return give
