"""What the codes of the domain are called on a page. A code without a row is shown as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from serving.language import N_, Text, Translated, as_it_is
from social_security.domain import pack
from social_security.domain.indicators import INDICATORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.language import Translatable

RIGHTS: Final[dict[str, Text]] = {
    "ACCESO": N_("Access: see my data"),
    "RECTIFICACION": N_("Rectification: correct my data"),
    "CANCELACION": N_("Cancellation: have my data erased"),
    "OPOSICION": N_("Opposition: stop a use of my data"),
    "PORTABILIDAD_DATOS": N_("Portability: my data in a structured format"),
}
DATA: Final[dict[str, Text]] = {
    "correo": N_("my e-mail address"),
    "periodo": N_("a period of my history"),
    "identidad": N_("my identification"),
    "afiliacion": N_("my affiliation"),
    "historia": N_("my history"),
    "sueldos": N_("my pay"),
    "beneficio": N_("my benefits"),
    "automatizado": N_("decisions made by a machine alone"),
}
# What an opposition may be about; rights, access log, vital events and supervision cannot be opposed.
OPPOSABLE: Final = ("PUR-IDENT", "PUR-AFIL", "PUR-HIST", "PUR-PORT", "PUR-EXT", "PUR-BENEF")
STATES: Final[dict[str, Text]] = {
    "RECIBIDA": N_("received"),
    "PREVENIDA": N_("you are asked to clarify"),
    "NO_PRESENTADA": N_("not filed: not clarified in time"),
    "INCOMPETENCIA": N_("not this institute's to answer"),
    "TRAMITE_ESPECIFICO": N_("a specific procedure exists"),
    "RECONDUCIDA": N_("taken as another right"),
    "EN_TRAMITE": N_("being worked on"),
    "AMPLIADA": N_("term extended"),
    "PROCEDENTE": N_("granted; still to be carried out"),
    "EFECTIVA": N_("carried out"),
    "IMPROCEDENTE": N_("refused"),
    "INEXISTENCIA": N_("the data does not exist"),
    "FALTA_RESPUESTA": N_("the institute did not answer in time"),
    "RECURRIDA": N_("appealed to the guarantor"),
    "CONCILIACION": N_("in conciliation"),
    "RESUELTA_RR": N_("appeal decided"),
    "CUMPLIDA": N_("decision carried out"),
}
TERMS: Final[dict[str, Text]] = {
    "limitePrevencion": N_("The institute may ask to clarify until"),
    "limiteDesahogo": N_("You may clarify until"),
    "limiteRespuesta": N_("The institute must answer by"),
    "limiteEjecucion": N_("What was granted must be done by"),
    "limiteRecurso": N_("You may appeal until"),
    "limiteResolucion": N_("The guarantor decides by"),
}
# The terms that still run in a state; the others have been kept or have passed.
_WAITS_FOR_INSTITUTE: Final = ("limitePrevencion", "limiteRespuesta", "limiteRecurso")
_RUNNING: Final[dict[str, tuple[str, ...]]] = {
    "RECIBIDA": _WAITS_FOR_INSTITUTE,
    "EN_TRAMITE": ("limiteRespuesta", "limiteRecurso"),
    "AMPLIADA": ("limiteRespuesta", "limiteRecurso"),
    "PREVENIDA": ("limiteDesahogo",),
    "PROCEDENTE": ("limiteEjecucion", "limiteRecurso"),
    "RECURRIDA": ("limiteResolucion",),
    "CONCILIACION": ("limiteResolucion",),
    "RESUELTA_RR": ("limiteEjecucion",),
    **dict.fromkeys(("EFECTIVA", "IMPROCEDENTE", "INEXISTENCIA", "FALTA_RESPUESTA"), ("limiteRecurso",)),
}
OUTCOMES: Final[dict[str, Text]] = {
    "ENTREGADO": N_("delivered"),
    "NEGADO": N_("denied"),
    "SIN_DATOS": N_("no data"),
    "ERROR": N_("error"),
}
CATEGORIES: Final[dict[str, Text]] = {
    "identidad": N_("identity"),
    "afiliacion": N_("affiliation"),
    "historia": N_("history"),
    "sueldos": N_("pay"),
    "beneficio": N_("benefit"),
    "evento-vital": N_("vital event"),
    "documento": N_("document"),
    "arco": N_("ARCO request"),
    "bitacora": N_("access log"),
}
STANDINGS: Final[dict[str, Text]] = {
    "ACTIVA": N_("active"),
    "BAJA": N_("left"),
    "PENSIONADA": N_("pensioner"),
    "FALLECIDA": N_("deceased"),
}
DIRECTIONS: Final[dict[str, Text]] = {
    "DESECHAR": N_("dismissed"),
    "CONFIRMAR": N_("the answer is confirmed"),
    "CONFIRMAR_POR_SILENCIO": N_("stands confirmed by the authority's silence"),
    "REVOCAR": N_("revoked"),
    "ORDENAR_ENTREGA": N_("delivery is ordered"),
}
MEMBER_STATES: Final[dict[str, Text]] = {
    "SOLICITADA": N_("has applied"),
    "DOCUMENTOS": N_("handing in documents"),
    "EVALUACION": N_("being assessed"),
    "CONVENIO": N_("signing the agreement"),
    "CERTIFICADOS": N_("getting certificates"),
    "CONFORMIDAD": N_("in conformance tests"),
    "ACTIVA": N_("in service"),
    "SUSPENDIDA": N_("suspended"),
    "BAJA": N_("has left"),
}
OUTDATED: Final[dict[str, Text]] = {
    "titular": N_("its head has adopted an earlier policy, not the one in force"),
    "conformidad": N_("its conformance report is more than a year old"),
}
VITAL_STATES: Final[dict[str, Text]] = {
    "VIVA": N_("alive"),
    "FALLECIDA": N_("deceased"),
}
SCOPES: Final[dict[str, Text]] = {
    "ARCO": N_("ARCO request"),
    "INFORMACION": N_("public information"),
    "SERVICIO": N_("another member's request"),
    "PORTABILIDAD": N_("portability case"),
}
_TARGETS_EN: Final = {
    "22 al inicio": "22 at the start",
    "90 % en el año 2": "90 % in year 2",
    "≤ 60 días hábiles": "≤ 60 working days",
    "a la baja": "falling",
    "línea base 31 %": "baseline 31 %",
}
_SOURCES_EN: Final = (
    ("sin fuente", "no source"),
    ("sin respuesta", "no answer"),
    ("miembros activos", "active members"),
    ("miembros", "members"),
    ("entidades", "states"),
    ("línea base", "baseline"),
    ("ejercicio del gasto", "spending"),
    ("por millar de mensajes", "a thousand messages"),
    ("por miembro", "a member"),
    (" de ", " of "),
)
INDICATORS_EN: Final[dict[str, str]] = {
    "IND-01": "institutes connected",
    "IND-02": "services offered",
    "IND-03": "portability within its term",
    "IND-04": "how long portability takes",
    "IND-05": "asked once only",
    "IND-06": "external admissions",
    "IND-07": "ARCO within its term",
    "IND-08": "refusals",
    "IND-09": "appeals",
    "IND-10": "availability",
    "IND-11": "evidence",
    "IND-12": "policy violations",
    "IND-13": "coverage",
    "IND-14": "time to join",
    "IND-15": "look-ups without a case",
    "IND-16": "cost",
}
_UNITS_EN: Final = {"días hábiles": "working days", "días": "days", "casos": "cases", "MXN": "MXN"}
_TABLES: Final = {
    "right": RIGHTS,
    "data": DATA,
    "state": STATES,
    "term": TERMS,
    "outcome": OUTCOMES,
    "category": CATEGORIES,
    "standing": STANDINGS,
    "direction": DIRECTIONS,
    "member_state": MEMBER_STATES,
    "scope": SCOPES,
    "outdated": OUTDATED,
    "vital": VITAL_STATES,
}


def named(kind: str, code: str) -> Translatable:
    """The words of a code."""
    return _TABLES[kind].get(code, as_it_is(code))


def relevant_terms(state: str) -> tuple[str, ...]:
    """The terms that still run for a request in a state: what has been answered is waited for no more."""
    return _RUNNING.get(state, ())


def level(code: str) -> Translatable:
    """The words of a level of identity, which say what proves it, with its code."""
    found = pack.codes()["levels"].get(code)
    return as_it_is(code) if found is None else Translated({n: f"{found[n]} ({code})" for n in ("es", "en")})


def scheme(code: str) -> Translatable:
    """A pension scheme's code, ``PLACE/words-with-hyphens``, as the words that it is made of; schemes are laws' own names, so in Spanish."""
    words = code.rpartition("/")[2].replace("-", " ")
    return as_it_is(f"{words} ({code})" if words != code else code)


def error(code: str) -> Translatable:
    """A row of the error table in words."""
    found = pack.errors().get(code)
    if found is None:
        return as_it_is(code)
    return Translated({"es": f"{code}: {found.es}", "en": f"{code}: {found.en}"})


def purpose(code: str) -> Translatable:
    """The words of a purpose's code in each language; the code itself when it is unknown."""
    found = pack.purposes().get(code)
    return as_it_is(code) if found is None else Translated({"es": found.es, "en": found.en})


def action(text: str) -> Translatable:
    """An access row's action: the service's title when it is a service of ours, which the row names in Spanish."""
    for operation in pack.operations().values():
        if operation.es == text:
            return Translated({"es": operation.es, "en": operation.en})
    return as_it_is(text)


def number(value: int) -> str:
    """A whole number with its thousands set apart, as in Mexico."""
    return f"{value:,}"


def cause(numeral: str) -> str:
    """A cause of refusal in words; the pack has them in Spanish, the law's language."""
    return str(pack.codes()["arco_causes"].get(numeral, numeral))


def indicator_words(code: str) -> Translatable:
    """The words of what an indicator counts, in each language; the code itself when it is unknown."""
    es = next((i.es for i in INDICATORS if i.id == code), code)
    return Translated({"es": es, "en": INDICATORS_EN.get(code, es)})


def indicator_target(code: str) -> Translatable:
    """The decreed target of an indicator, in each language; empty when it has none."""
    es = next((i.target for i in INDICATORS if i.id == code), "")
    return Translated({"es": es, "en": _TARGETS_EN.get(es, es)})


def indicator_source(es: str) -> Translatable:
    """The source of an indicator, which ONIESS says in Spanish, in each language; what has no row stays as it came."""
    en = es
    for spanish, english in _SOURCES_EN:
        en = en.replace(spanish, english)
    return Translated({"es": es, "en": en})


def indicator_value(row: Mapping[str, Any]) -> Translatable:
    """The value of an ``Indicador`` with its unit: a ratio as a percentage, with what it is of where that is told."""
    value, unit = float(row["valor"]), str(row["unidad"])
    if unit == "razón":
        of = "" if row["numerador"] is None else f" ({row['numerador']:,} / {row['denominador']:,})"
        text = f"{value * 100:.1f}".removesuffix(".0")
        return as_it_is(f"{text} %{of}")
    text = f"{value:,.2f}".removesuffix(".00")
    return Translated({"es": f"{text} {unit}", "en": f"{text} {_UNITS_EN.get(unit, unit)}"})
