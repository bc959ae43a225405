"""What codes are called on the pages of those who work with them: not addressed to the person, as `words` are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving.language import N_, Text, as_it_is
from social_security.portal.words import STATES, TERMS

if TYPE_CHECKING:
    from serving.language import Translatable

RIGHTS: Final[dict[str, Text]] = {
    "ACCESO": N_("access"),
    "RECTIFICACION": N_("rectification"),
    "CANCELACION": N_("cancellation"),
    "OPOSICION": N_("opposition"),
    "PORTABILIDAD_DATOS": N_("data in a structured format"),
    "INFORMACION": N_("public information"),
}
_STATES: Final[dict[str, Text]] = {
    **STATES,
    "PREVENIDA": N_("the person is asked to clarify"),
    "FALTA_RESPUESTA": N_("not answered in time: an answer is still owed"),
}
_TERMS: Final[dict[str, Text]] = {
    **TERMS,
    "limitePrevencion": N_("To ask for a clarification"),
    "limiteDesahogo": N_("The person clarifies by"),
    "limiteRespuesta": N_("To answer"),
    "limiteEjecucion": N_("To carry it out"),
    "limiteRecurso": N_("The person may appeal until"),
}
_TURNS: Final[dict[str, Text]] = {
    "UNIDAD": N_("the institute's"),
    "PERSONA": N_("the person's"),
    "GARANTE": N_("the guarantor's"),
}
_FIELDS: Final[dict[str, Text]] = {
    "idPeriodo": N_("Period"),
    "desde": N_("From"),
    "hasta": N_("Until"),
    "tipo": N_("Type"),
    "diasDescontados": N_("Discounted days"),
    "diasReintegrados": N_("Reinstated days"),
    "empleador": N_("Employer's code"),
    "motivoTraslape": N_("Why it overlaps"),
}
_CASES: Final[dict[str, Text]] = {
    "PRESENTADA": N_("applied for"),
    "ADMITIDA": N_("admitted"),
    "HISTORIA_SOLICITADA": N_("histories are asked for"),
    "HISTORIA_RECIBIDA": N_("histories are here"),
    "ACLARACION": N_("a history is being clarified"),
    "TOTALIZADA": N_("totalled"),
    "PROYECTO_RESOLUCION": N_("decision drafted"),
    "CONFORMIDAD_TITULAR": N_("the person agrees"),
    "TRANSFERIDA": N_("shares confirmed"),
    "RESUELTA": N_("decided"),
    "CERRADA": N_("closed"),
    "RECHAZADA": N_("rejected"),
    "DESISTIDA": N_("given up by the person"),
    "VENCIDA": N_("ended by its term"),
    "RECURRIDA": N_("before the authority"),
}
_BENEFITS: Final[dict[str, Text]] = {
    "JUBILACION": N_("retirement"),
    "VEJEZ": N_("old age"),
    "CESANTIA": N_("redundancy at an advanced age"),
    "INVALIDEZ_RT": N_("disability by an accident at work"),
    "INVALIDEZ": N_("disability"),
    "VIUDEZ": N_("widowhood"),
    "ORFANDAD": N_("orphanhood"),
    "ASCENDENCIA": N_("parents' pension"),
    "GASTOS_FUNERARIOS": N_("funeral expenses"),
    "DEVOLUCION_CUOTAS": N_("contributions returned"),
    "SERVICIO_MEDICO": N_("medical service"),
}
_TABLES: Final = {
    "right": RIGHTS,
    "state": _STATES,
    "term": _TERMS,
    "turn": _TURNS,
    "field": _FIELDS,
    "case": _CASES,
    "benefit": _BENEFITS,
}


def worked(kind: str, code: str) -> Translatable:
    """The words of a code for those who work with it; a code without a row as it is."""
    return _TABLES[kind].get(code, as_it_is(code))
