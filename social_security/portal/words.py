"""What the codes of the domain are called on a page, in Spanish and in English. A code without a row is shown as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from social_security.domain import pack
from social_security.domain.indicators import INDICATORS

if TYPE_CHECKING:
    from collections.abc import Mapping

Words = tuple[str, str]

RIGHTS: Final[dict[str, Words]] = {
    "ACCESO": ("Acceso: ver mis datos", "Access: see my data"),
    "RECTIFICACION": ("Rectificación: corregir mis datos", "Rectification: correct my data"),
    "CANCELACION": ("Cancelación: que se supriman mis datos", "Cancellation: have my data erased"),
    "OPOSICION": ("Oposición: que no se usen para algo", "Opposition: stop a use of my data"),
    "PORTABILIDAD_DATOS": (
        "Portabilidad: mis datos en formato estructurado",
        "Portability: my data in a structured format",
    ),
}
DATA: Final[dict[str, Words]] = {
    "correo": ("mi correo electrónico", "my e-mail address"),
    "periodo": ("un periodo de mi historia", "a period of my history"),
    "identidad": ("mi identificación", "my identification"),
    "afiliacion": ("mi afiliación", "my affiliation"),
    "historia": ("mi historia", "my history"),
    "sueldos": ("mis sueldos", "my pay"),
    "beneficio": ("mis beneficios", "my benefits"),
    "automatizado": ("decisiones tomadas sólo por una máquina", "decisions made by a machine alone"),
}
# What an opposition may be about; rights, access log, vital events and supervision cannot be opposed.
OPPOSABLE: Final = ("PUR-IDENT", "PUR-AFIL", "PUR-HIST", "PUR-PORT", "PUR-EXT", "PUR-BENEF")
STATES: Final[dict[str, Words]] = {
    "RECIBIDA": ("recibida", "received"),
    "PREVENIDA": ("se le pide aclarar", "you are asked to clarify"),
    "NO_PRESENTADA": ("no presentada: no se aclaró a tiempo", "not filed: not clarified in time"),
    "INCOMPETENCIA": ("no le toca a este instituto", "not this institute's to answer"),
    "TRAMITE_ESPECIFICO": ("hay un trámite específico", "a specific procedure exists"),
    "RECONDUCIDA": ("reconducida a otro derecho", "taken as another right"),
    "EN_TRAMITE": ("en trámite", "being worked on"),
    "AMPLIADA": ("plazo ampliado", "term extended"),
    "PROCEDENTE": ("concedida; falta ejecutarla", "granted; still to be carried out"),
    "EFECTIVA": ("cumplida", "carried out"),
    "IMPROCEDENTE": ("negada", "refused"),
    "INEXISTENCIA": ("los datos no existen", "the data does not exist"),
    "FALTA_RESPUESTA": ("el instituto no contestó a tiempo", "the institute did not answer in time"),
    "RECURRIDA": ("en recurso ante la autoridad garante", "appealed to the guarantor"),
    "CONCILIACION": ("en conciliación", "in conciliation"),
    "RESUELTA_RR": ("recurso resuelto", "appeal decided"),
    "CUMPLIDA": ("resolución cumplida", "decision carried out"),
}
TERMS: Final[dict[str, Words]] = {
    "limitePrevencion": (
        "El instituto puede pedir aclaración hasta",
        "The institute may ask to clarify until",
    ),
    "limiteDesahogo": ("Usted puede aclarar hasta", "You may clarify until"),
    "limiteRespuesta": ("El instituto debe contestar hasta", "The institute must answer by"),
    "limiteEjecucion": ("Lo concedido debe cumplirse hasta", "What was granted must be done by"),
    "limiteRecurso": ("Usted puede recurrir hasta", "You may appeal until"),
    "limiteResolucion": ("La autoridad garante resuelve hasta", "The guarantor decides by"),
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
OUTCOMES: Final[dict[str, Words]] = {
    "ENTREGADO": ("entregado", "delivered"),
    "NEGADO": ("negado", "refused"),
    "SIN_DATOS": ("sin datos", "no data"),
    "ERROR": ("error", "error"),
}
CATEGORIES: Final[dict[str, Words]] = {
    "identidad": ("identidad", "identity"),
    "afiliacion": ("afiliación", "affiliation"),
    "historia": ("historia", "history"),
    "sueldos": ("sueldos", "pay"),
    "beneficio": ("beneficio", "benefit"),
    "evento-vital": ("evento vital", "vital event"),
    "documento": ("documento", "document"),
    "arco": ("solicitud ARCO", "ARCO request"),
    "bitacora": ("bitácora", "access log"),
}
STANDINGS: Final[dict[str, Words]] = {
    "ACTIVA": ("activa", "active"),
    "BAJA": ("baja", "left"),
    "PENSIONADA": ("pensionada", "pensioner"),
    "FALLECIDA": ("fallecida", "deceased"),
}
DIRECTIONS: Final[dict[str, Words]] = {
    "DESECHAR": ("se desecha", "dismissed"),
    "CONFIRMAR": ("se confirma la respuesta", "the answer is confirmed"),
    "CONFIRMAR_POR_SILENCIO": (
        "queda confirmada por silencio de la autoridad",
        "stands confirmed by the authority's silence",
    ),
    "REVOCAR": ("se revoca", "revoked"),
    "ORDENAR_ENTREGA": ("se ordena la entrega", "delivery is ordered"),
}
MEMBER_STATES: Final[dict[str, Words]] = {
    "SOLICITADA": ("solicitó su alta", "has applied"),
    "DOCUMENTOS": ("entrega documentos", "handing in documents"),
    "EVALUACION": ("en evaluación", "being assessed"),
    "CONVENIO": ("firma convenio", "signing the agreement"),
    "CERTIFICADOS": ("recibe certificados", "getting certificates"),
    "CONFORMIDAD": ("en prueba de conformidad", "in conformance tests"),
    "ACTIVA": ("en servicio", "in service"),
    "SUSPENDIDA": ("suspendido", "suspended"),
    "BAJA": ("dado de baja", "has left"),
}
SCOPES: Final[dict[str, Words]] = {
    "ARCO": ("solicitud ARCO", "ARCO request"),
    "INFORMACION": ("información pública", "public information"),
    "SERVICIO": ("consulta de otro miembro", "another member's request"),
    "PORTABILIDAD": ("caso de portabilidad", "portability case"),
}
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
}


def named(kind: str, code: str) -> Words:
    """The words of a code."""
    return _TABLES[kind].get(code, (code, code))


def relevant_terms(state: str) -> tuple[str, ...]:
    """The terms that still run for a request in a state: what has been answered is waited for no more."""
    return _RUNNING.get(state, ())


def error(code: str) -> Words:
    """A row of the error table in words."""
    found = pack.errors().get(code)
    return (code, code) if found is None else (f"{code}: {found.es}", f"{code}: {found.en}")


def purpose(code: str) -> Words:
    """A purpose in words."""
    found = pack.purposes().get(code)
    return (code, code) if found is None else (found.es, found.en)


def action(text: str) -> Words:
    """An access row's action: the service's Spanish title, and the English one when it is a service of ours."""
    return next(((o.es, o.en) for o in pack.operations().values() if o.es == text), (text, text))


def number(value: int) -> str:
    """A whole number with its thousands set apart, as in Mexico."""
    return f"{value:,}"


def member_name(path: str) -> str:
    """What a member is called; its identifier when we do not know it."""
    code = path.rpartition("/")[2]
    return pack.members()[code].name if code in pack.members() else path


def cause(numeral: str) -> str:
    """A cause of refusal in words; the pack has them in Spanish, the law's language."""
    return str(pack.codes()["arco_causes"].get(numeral, numeral))


def indicator_words(code: str) -> Words:
    """What an indicator counts."""
    es = next((i.es for i in INDICATORS if i.id == code), code)
    return es, INDICATORS_EN.get(code, es)


def indicator_target(code: str) -> str:
    """What an indicator is held against; in Spanish, as it is decreed."""
    return next((i.target for i in INDICATORS if i.id == code), "")


def indicator_value(row: Mapping[str, Any]) -> Words:
    """The value of an ``Indicador`` with its unit: a ratio as a percentage, with what it is of where that is told."""
    value, unit = float(row["valor"]), str(row["unidad"])
    if unit == "razón":
        of = "" if row["numerador"] is None else f" ({row['numerador']:,} / {row['denominador']:,})"
        said = f"{value * 100:.1f}".removesuffix(".0")
        return f"{said} %{of}", f"{said} %{of}"
    said = f"{value:,.2f}".removesuffix(".00")
    return f"{said} {unit}", f"{said} {_UNITS_EN.get(unit, unit)}"
