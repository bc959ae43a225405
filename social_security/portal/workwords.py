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
_ADMISSIONS: Final[dict[str, Text]] = {
    "RECIBIDA": N_("received"),
    "VERIFICANDO_IDENTIDAD": N_("identity is being checked"),
    "VERIFICANDO_ORIGEN": N_("the former body is asked"),
    "PREVENIDA": N_("the person is asked to clarify"),
    "ADMITIDA": N_("admitted"),
    "ADMITIDA_PROVISIONAL": N_("admitted for ninety days"),
    "NEGADA": N_("refused"),
    "CADUCADA": N_("lapsed"),
}
_STEPS: Final[dict[str, Text]] = {
    "ADMITIR": N_("Admit it: histories may be asked for"),
    "SOLICITAR_HISTORIA": N_("Ask every counterparty for its history"),
    "ENTREGAR_HISTORIA": N_("Deliver this institute's history as it is certified now"),
    "PEDIR_ACLARACION": N_("Ask for a history to be clarified"),
    "ACLARAR": N_("Deliver this institute's history anew: totals are made again"),
    "TOTALIZAR": N_("Total all histories by the convention's rules, with each institute's share"),
    "PROYECTAR": N_("Draft the decision: the person then agrees or not"),
    "CONFIRMAR_TRANSFERENCIA": N_("Confirm this institute's share"),
    "RESOLVER": N_("Decide it"),
    "CERRAR": N_("Close it"),
    "RECHAZAR": N_("Reject it: the person gets cause, reasons and remedy, and may appeal"),
    "RECORDAR": N_("Remind the others: nothing else changes"),
    "CONFORMAR": N_("The person agrees with the draft"),
    "INCONFORMAR": N_("The person disagrees: it is clarified"),
    "DESISTIR": N_("The person gives it up"),
    "RECURRIR": N_("The person appeals"),
    "PRESENTAR": N_("Applied for"),
    "VENCER": N_("Its term passed"),
    "INVALIDAR": N_("This institute takes its last event back"),
    "AGREGAR_PARTICIPANTE": N_("An institute joins the case"),
}
_GATES: Final[dict[str, Text]] = {
    "documentos": N_("documents"),
    "seguridad": N_("security"),
    "impacto": N_("impact assessment"),
    "avisos": N_("privacy notices"),
    "contactos": N_("contacts"),
    "convenio": N_("convention"),
    "certificados": N_("certificates"),
    "conformidad": N_("conformance"),
    "titular": N_("signature of the head"),
    "PENDIENTE": N_("pending"),
    "APROBADA": N_("approved"),
    "RECHAZADA": N_("rejected"),
}
_COMMITMENTS: Final[dict[str, Text]] = {
    "ABIERTO": N_("open"),
    "CUMPLIDO": N_("met"),
    "CANCELADO": N_("cancelled"),
}
_TABLES: Final = {
    "admission": _ADMISSIONS,
    "step": _STEPS,
    "gate": _GATES,
    "commitment": _COMMITMENTS,
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
