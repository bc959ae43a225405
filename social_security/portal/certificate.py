"""The certificate of a career: a PDF to take along, and its code by which anybody checks it on the issuing institute's page.

The certificate says what every institute certified when it was made, and who did not answer. It is checked against what was
noted when it was issued: by its code alone nothing of the person is shown but what stands on the paper. Where the institute has a
certificate for it, the PDF is signed (`pdfsigning`). fpdf2 draws it and segno its QR code (extra ``certificate``).

Spec: the domain reference F12, F13.
"""

from __future__ import annotations

import hashlib
import importlib
import secrets
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from social_security.domain.eventchain import canonical
from social_security.portal.pdfsigning import sign_pdf
from social_security.portal.words import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from social_security.domain.pseudonyms import Pid
    from social_security.portal.pdfsigning import PdfSigner

# Crockford's alphabet; 20 characters are a hundred bits, so that no code is found by trying.
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH: Final = 20
# Thirty bits: enough to tell persons apart, too few to find one by.
PID_END: Final = 6
_MARGIN_MM, _MODULE_MM = 18, 0.9
_HEADINGS: Final = ("Instituto", "Patrón", "Desde", "Hasta", "Días", "Cómo se contaron")
_WIDTHS: Final = (32, 30, 19, 19, 13, 67)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as it is noted when it is issued: its code, what it says in numbers, the digest of all it says, and how the PID
    on it ends, so that its code on a paper about somebody else is seen."""

    code: str
    issued_at: datetime
    days: int
    overlap: int
    is_complete: bool
    sha256: str
    pid_end: str = ""


def build_certificate(whole: Mapping[str, Any], pid: Pid, now: datetime) -> Certificate:
    """The certificate of a career as `reunirHistoria` answered it; of whom stands in its digest."""
    content = {
        "pid": pid,
        "historias": whole["historias"],
        "totales": whole["totales"],
        "momento": now.isoformat(),
    }
    return Certificate(
        "".join(secrets.choice(_LETTERS) for _ in range(CODE_LENGTH)),
        now,
        int(whole["totales"]["diasUnion"]),
        int(whole["totales"]["diasTraslape"]),
        bool(whole["constancia"]["completa"]),
        hashlib.sha256(canonical(content)).hexdigest(),
        pid[-PID_END:],
    )


def is_drawn() -> bool:
    """Whether this portal can draw certificates: the extra is installed."""
    return all(find_spec(name) is not None for name in ("fpdf", "segno", "pyhanko"))


def render_pdf(
    certificate: Certificate,
    whole: Mapping[str, Any],
    pid: Pid,
    issuer: str,
    address: str,
    named: Callable[[str], str],
    signer: PdfSigner | None = None,
) -> bytes:
    """The certificate as PDF, in Spanish, with the QR code of the page where it is checked (``address``); ``named`` gives a member's name; signed where there is a signer."""
    fpdf: Any = importlib.import_module("fpdf")
    pdf = fpdf.FPDF(format="Letter")
    pdf.set_lang("es")
    pdf.set_title(f"Constancia {certificate.code}")
    pdf.set_creation_date(certificate.issued_at)
    pdf.set_margin(_MARGIN_MM)
    pdf.add_page()
    _line(pdf, "Constancia de historia laboral", 16, bold=True)
    _line(pdf, issuer, 12)
    _line(pdf, f"Seudónimo de la persona en este instituto: {pid}", 9)
    _line(pdf, f"Emitida el {certificate.issued_at:%d/%m/%Y a las %H:%M}", 9)
    _line(
        pdf,
        f"{number(certificate.days)} días reconocidos; {number(certificate.overlap)} que se traslapan cuentan una vez",
        12,
        bold=True,
    )
    _line(pdf, _completeness(whole["constancia"], named), 9)
    _table(pdf, whole["historias"], named)
    _qr(pdf, address)
    _line(pdf, f"Compruébela en {address}", 9)
    if signer is not None:
        _line(pdf, "Firmada: su lector de PDF muestra quién firmó y que nada cambió desde entonces.", 9)
    _line(pdf, f"Código {certificate.code}; huella {certificate.sha256}", 7)
    if signer is None:
        return bytes(pdf.output())
    return sign_pdf(bytes(pdf.output()), signer, "Constancia de historia laboral")


def _completeness(statement: Mapping[str, Any], named: Callable[[str], str]) -> str:
    """Who answered, refused or was silent: a certificate that lacks somebody says so."""
    answered = ", ".join(named(r["instituto"]) for r in statement["respondieron"]) or "nadie"
    lacking = [named(r["instituto"]) for r in statement["negaron"]] + [
        named(m) for m in statement["silenciosos"]
    ]
    if statement["completa"]:
        return f"Respondieron todos los institutos que tienen historia: {answered}."
    return f"Incompleta. Respondieron: {answered}. No la entregaron: {', '.join(lacking)}."


def _table(pdf: Any, histories: list[Mapping[str, Any]], named: Callable[[str], str]) -> None:
    pdf.set_font("Helvetica", size=8)
    with pdf.table(col_widths=_WIDTHS, first_row_as_headings=True) as table:
        table.row([_latin(h) for h in _HEADINGS])
        for history in histories:
            for period in history["periodos"]:
                until = period.get("hasta") or f"abierto, al {period.get('contadoHasta', '')}"
                cells = (
                    named(history["instituto"]),
                    period.get("empleador", {}).get("clave", ""),
                    period["desde"],
                    until,
                    number(period["dias"]),
                    period.get("computo", ""),
                )
                table.row([_latin(str(c)) for c in cells])


def _qr(pdf: Any, address: str) -> None:
    """The QR code, module by module, where the text has come to; on a new page when it does not fit."""
    segno: Any = importlib.import_module("segno")
    matrix = segno.make(address, error="m", micro=False).matrix
    size = len(matrix) * _MODULE_MM
    if pdf.will_page_break(size + 20):
        pdf.add_page()
    top, left = pdf.get_y() + 4, pdf.l_margin
    for row, modules in enumerate(matrix):
        for column, dark in enumerate(modules):
            if dark:
                pdf.rect(
                    left + column * _MODULE_MM, top + row * _MODULE_MM, _MODULE_MM, _MODULE_MM, style="F"
                )
    pdf.set_y(top + size + 2)


def _line(pdf: Any, text: str, size: int, *, bold: bool = False) -> None:
    pdf.set_font("Helvetica", "B" if bold else "", size)
    pdf.multi_cell(0, size * 0.5 + 1, _latin(text), new_x="LMARGIN", new_y="NEXT")


def _latin(text: str) -> str:
    """As the fonts that every reader has can show it."""
    return text.encode("latin-1", "replace").decode("latin-1")
