"""The certificates of a gateway by the day they end: one picture, and the same as a list."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from serving.language import N_
from serving.web.blocks import Column, Heading, Listing, PageLink, Picture, code, day, phrase, several, text
from serving.web.codewords import left_of, word, word_of
from serving.web.drawings import EndingMark, draw_endings
from serving.web.formnames import ROOT
from serving.web.pages import USUAL_ZONE, chosen_zone, day_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.admin.keyviews import CertificateView, KeyView, TokenView
    from serving.language import Text
    from serving.web.blocks import Block, Cell, Tone
    from serving.web.console import ConsoleRequest

MOST_DRAWN = 20


def certificates_of(tokens: Sequence[TokenView]) -> Iterator[tuple[TokenView, KeyView, CertificateView]]:
    """Every certificate with its token and key, the first to end first."""
    found = [(token, key, c) for token in tokens for key in token.keys for c in key.certificates]
    return iter(sorted(found, key=lambda f: str(f[2].certificate_details.not_after)))


def ending_blocks(request: ConsoleRequest, tokens: Sequence[TokenView], now: datetime) -> list[Block | None]:
    """The picture and the list of what ends when."""
    found = list(certificates_of(tokens))
    rows, endings = [], []
    zone = chosen_zone(request.http, USUAL_ZONE)
    for _token, _key, certificate in found:
        details = certificate.certificate_details
        left, tone = left_of(details.not_after, now)
        use = word_of(_key.usage)
        name = f"{certificate.owner_id}: {request.translate(use) if use else details.issuer_common_name}"
        ends = datetime.fromisoformat(details.not_after)
        on = day_text(ends, request.language, zone)
        endings.append(EndingMark(name, ends, tone, f"{on}, {request.translate(left)}"))
        rows.append(_row(certificate, _key, left, tone))
    picture = None
    if endings:
        title = request.translate(N_("When each certificate ends"))
        picture = Picture(
            draw_endings(endings[:MOST_DRAWN], now, title, request.translate(N_("today"))),
            N_("The first to end is on top; the list below has the same days."),
        )
    columns = (
        Column(N_("Ends on"), "fin"),
        Column(N_("Left"), ""),
        Column(N_("Use"), "uso"),
        Column(N_("Of"), "de"),
        Column(N_("State"), "estado"),
        Column(N_("By OCSP"), "ocsp"),
    )
    empty = N_(
        "No certificates yet: make a key with a signing request, have it certified, and import the certificate."
    )
    keys = f"{ROOT}/llaves"
    link = PageLink(N_("Keys and certificates"), keys) if request.http.path != keys else None
    return [
        Heading(N_("Certificates"), None, (link,)),
        picture,
        Listing(N_("Certificates by the day they end"), columns, tuple(rows), empty, "certificados"),
    ]


def _row(certificate: CertificateView, key: KeyView, left: Text, tone: Tone) -> tuple[Cell, ...]:
    details = certificate.certificate_details
    return (
        day(details.not_after),
        phrase(left, tone),
        word(key.usage),
        several(code(certificate.owner_id), text(details.subject_distinguished_name)),
        several(
            word(certificate.status), None if certificate.active else phrase(N_("not in use"), "caution")
        ),
        # OCSP is asked for what is in use alone; the API has a word for that which says it of many things.
        phrase(N_("not asked")) if certificate.ocsp_status == "DISABLED" else word(certificate.ocsp_status),
    )
