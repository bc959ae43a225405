"""The words of the XML schema beside those of the REST description, service by service: XML to JSON, JSON to XML.

Pure. Most names are the same; what differs is said here once. Elements come in the order of the schema.

Spec: the domain reference 5.11, 5.12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from schemas.numbers import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NS: Final = "https://oniess.example/ns/ss/v1"
# Service over SOAP -> operation.
OPERATIONS: Final = {
    "buscarBeneficiario": "buscarBeneficiario",
    "traducirPid": "traducirPid",
    "localizarHistoria": "localizarHistoria",
    "consultarAfiliacion": "consultarAfiliacion",
    "consultarHistoria": "consultarHistoria",
    "eventoPortabilidad": "agregarEvento",
    "solicitarAdmision": "solicitarAdmision",
    "presentarArco": "presentarArco",
    "consultarArco": "verArco",
    "avanzarArco": "avanzarArco",
    "consultarAccesos": "findUsage",
    "notificarEvento": "notificarEvento",
}
_INTEGERS = frozenset(
    (
        *("secuencia", "version", "dias", "diasDescontados", "diasReintegrados", "totalDias", "anios"),
        *("semanasEquivalentes", "diasUnion", "diasTraslape", "semanas", "aniosReconocidos", "montoCentavos"),
        *("desplazamiento", "limite"),
    )
)
_BOOLEANS = frozenset(("conSueldos", "representante"))
# XML name -> REST name, where they differ.
_RENAMED: Final = {
    "periodo": "periodos",
    "parte": "partes",
    "evidencia": "evidencias",
    "causa": "causas",
    "resolucion": "negativa",
    "periodoInicio": "periodStart",
    "periodoFin": "periodEnd",
    "desplazamiento": "offset",
    "limite": "limit",
}
_LISTS = frozenset(("periodo", "parte", "evidencia", "causa", "historia", "contraparte"))
_HISTORY = ("instituto", "pid", "regimen")
_PERIOD = ("idPeriodo", "version", "desde", "hasta", "tipo", "dias", "diasDescontados", "diasReintegrados")
_REFUSAL = ("codigo", "causa", "fundamento", "motivacion", "resolucionComite")
_REMEDY = ("medioImpugnacion", "autoridad", "limiteImpugnacion")
_ARCO = (
    "folio",
    "estado",
    "recibidaEl",
    "limitePrevencion",
    "limiteRespuesta",
    "limiteEjecucion",
    "limiteRecurso",
)


def to_json(service: str, element: etree._Element) -> dict[str, Any]:
    """A request's body as REST would have it."""
    found: dict[str, Any] = {}
    for child in element:
        name = etree.QName(child).localname
        if name == "persona":
            for who in child:
                found[etree.QName(who).localname] = (who.text or "").strip()
        elif name == "atributos":
            found[name] = (child.text or "").split()
        elif name in _LISTS and not (name == "causa" and service != "avanzarArco"):
            found.setdefault(_RENAMED.get(name, name), []).append(_value(child))
        else:
            found[_RENAMED.get(name, name)] = _value(child)
    if service == "avanzarArco" and "resolucionComite" in found.get("negativa", {}):
        found["resolucionComite"] = found["negativa"]["resolucionComite"]
    return found


def to_xml(service: str, body: Mapping[str, Any], into: etree._Element) -> None:
    """An answer's content, in the order of the schema."""
    _ANSWERS[service](body, into)


def error(body: Mapping[str, Any], into: etree._Element) -> None:
    """Write an error's body into an element of type ``ErrorType``."""
    _simple(body, ("codigo", "mensaje", "campo", "reintentable"), into)


def refusal(body: Mapping[str, Any], into: etree._Element) -> None:
    """Write a formal refusal's body into an element of type ``NegativaType``."""
    _simple(body, (*_REFUSAL, *_REMEDY), into)


def _value(element: etree._Element) -> Any:
    name = etree.QName(element).localname
    if len(element) == 0 and not element.attrib:
        return _typed(name, (element.text or "").strip())
    found: dict[str, Any] = {
        etree.QName(n).localname: _typed(str(n), str(v)) for n, v in element.attrib.items()
    }
    for child in element:
        inner = etree.QName(child).localname
        if inner in _LISTS and inner != "causa":
            found.setdefault(_RENAMED[inner], []).append(_value(child))
        else:
            found[inner] = _value(child)
    if name == "sueldoBase":
        found["centavos"] = _number((element.text or "0").strip())
    return found


def _number(text: str) -> int | str:
    """The number of a text; what is none, or too large to be kept, stays text, and the schema says so."""
    number = whole_number(text)
    return text if number is None else number


def _typed(name: str, text: str) -> Any:
    local = name.rpartition("}")[2]
    if local in _INTEGERS:
        return _number(text)
    if local in _BOOLEANS and text in ("true", "false", "1", "0"):
        return text in ("true", "1")
    return text


def _simple(body: Mapping[str, Any], names: Sequence[str], into: etree._Element) -> None:
    for name in names:
        if name in body:
            _add(into, name, body[name])


def _add(into: etree._Element, name: str, value: object = None) -> etree._Element:
    made = etree.SubElement(into, f"{{{NS}}}{name}")
    if value is not None:
        made.text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return made


def _names(*names: str) -> Callable[[Mapping[str, Any], etree._Element], None]:
    return lambda body, into: _simple(body, names, into)


def _holders(body: Mapping[str, Any], into: etree._Element) -> None:
    for member in body["institutos"]:
        _add(into, "instituto", member)


def _history(body: Mapping[str, Any], into: etree._Element) -> None:
    made = _add(into, "historia")
    _simple(body, _HISTORY, made)
    if "constanciaBaja" in body:
        _simple(body["constanciaBaja"], ("anios", "semanasEquivalentes"), _add(made, "constanciaBaja"))
    for period in body["periodos"]:
        entry = _add(made, "periodo")
        _simple(period, _PERIOD, entry)
        if "empleador" in period:
            _add(entry, "empleador").set("clave", period["empleador"]["clave"])
        if "sueldoBase" in period:
            pay = _add(entry, "sueldoBase", period["sueldoBase"]["centavos"])
            pay.set("moneda", period["sueldoBase"]["moneda"])
            pay.set("frecuencia", period["sueldoBase"]["frecuencia"])
        _simple(period, ("estado", "certificadoEl", "contadoHasta", "computo"), entry)
    _simple(body, ("totalDias", "computo"), made)


def _arco(body: Mapping[str, Any], into: etree._Element) -> None:
    made = _add(into, "estadoArco")
    _simple(body, (*_ARCO, "calendario"), made)
    if "negativa" in body:
        refusal(body["negativa"], _add(made, "resolucion"))


def _accesses(body: Mapping[str, Any], into: etree._Element) -> None:
    _add(into, "total", body["totalUsages"])
    for usage in body["usages"]:
        entry = _add(into, "acceso")
        for name, rest in (
            ("momento", "logtime"),
            ("accion", "action"),
            ("receptor", "receiverCode"),
            ("receptorSistema", "receiverSystem"),
            ("proposito", "purpose"),
            ("fundamento", "legalBasis"),
        ):
            _add(entry, name, usage[rest])
        _add(entry, "categorias", " ".join(usage["categories"]) or "ninguna")
        if usage.get("caseId"):
            _add(entry, "caso", usage["caseId"])
        _add(entry, "idMensaje", usage["messageId"])
        _add(entry, "resultado", usage["outcome"])


_ANSWERS: Final[dict[str, Callable[[Mapping[str, Any], etree._Element], None]]] = {
    "buscarBeneficiario": _names("resultado", "pid", "nivel", "estadoVital", "estadoCurp"),
    "traducirPid": _names("pidPar", "testigo", "vence"),
    "localizarHistoria": _holders,
    "consultarAfiliacion": _names("estado", "regimen", "desde", "hasta"),
    "consultarHistoria": _history,
    "eventoPortabilidad": _names("acuse", "hash"),
    "solicitarAdmision": _names("caso", "fechaLimite"),
    "presentarArco": _arco,
    "consultarArco": _arco,
    "avanzarArco": _arco,
    "consultarAccesos": _accesses,
    "notificarEvento": _names("aplicado", "caso", "motivo"),
}
