"""A report that a court can read: each message with its answer, who, what, when, each step of the proof, how to repeat it.

In Spanish or in English; one HTML file without anything from elsewhere, which prints to paper or PDF.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import jinja2
import msgspec

from certs.edges.configurationfiles import read_configuration_files
from gateway.audit.judging import VALID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from certs.configuration import TrustedConfiguration
    from gateway.audit.judging import Judgement

STANDARDS = {
    1: "ETSI TS 102 918 (ASiC-E), ISO/IEC 21320-1 (zip)",
    2: "X-Road PR-REST, PR-MESS",
    3: "W3C XML-DSig, X-Road PR-SIGDOC",
    4: "RFC 3161, RFC 5652",
    5: "ETSI EN 319 132-1 (XAdES), W3C XML-DSig",
    6: "RFC 5280, RFC 6960",
    7: "X-Road PR-SIGDOC (hash chains), FIPS 180-4",
}
RECIPES = """unzip container.asice -d c && cd c
# step 4: the timestamp, over the result of a batch's hash chain (alone: over the signature value)
openssl ts -verify -token_in -in META-INF/timestamp.tst -data ts-hashchainresult.xml \\
    -CAfile root.pem -untrusted intermediate.pem -attime "$(date -u -d "$TIME" +%s)"
# steps 3, 5, 6: the signature, its certificate, what it is over
xmlsec1 --verify --enabled-reference-uris empty,same-doc,remote --url-map:/message.xml message.xml \\
    --url-map:/sig-hashchainresult.xml sig-hashchainresult.xml \\
    --id-attr:Id http://uri.etsi.org/01903/v1.3.2#:SignedProperties --verification-gmt-time "$TIME" \\
    --trusted-pem root.pem --untrusted-pem intermediate.pem META-INF/signatures.xml
# step 7: the digest of a body, as sig-hashchain.xml has it
openssl dgst -sha512 -binary attachment1 | base64 -w0"""

_TEXTS: dict[str, dict[str, Any]] = {
    "en": {
        "title": "Report on signed messages",
        "made": "Made",
        "tool": "Tool",
        "configuration": "Trusted configuration",
        "judged": "Containers",
        "valid_count": "valid",
        "preface": "Each message below was taken from a signed container. “Valid” says that the member named as signer signed exactly "
        "this message, no later than the time of the timestamp, with a certificate that was good then.",
        "message": "Message",
        "request": "Request",
        "response": "Answer",
        "container": "Container",
        "verdict": "Verdict",
        "is_valid": "VALID",
        "is_proved": "PROVED BY DIGESTS, CONTENT WITHHELD",
        "is_invalid": "INVALID",
        "is_unchecked": "COULD NOT BE CHECKED",
        "client": "Client",
        "service": "Provider and service",
        "method": "Protocol and method",
        "status": "Status of the answer",
        "signer": "Signed by",
        "timestamp": "Timestamp",
        "record": "Record number",
        "file": "File",
        "step": "Step",
        "outcome": "Outcome",
        "found": "What was found",
        "standard": "By",
        "outcomes": {"valid": "holds", "invalid": "does not hold", "warning": "holds, with a remark"},
        "steps": {
            1: "container complete",
            2: "who must have signed",
            3: "what the signature is over",
            4: "timestamp",
            5: "signature and signer",
            6: "certificate path and revocation",
            7: "bodies",
        },
        "repeat": "To repeat it with other tools",
        "repeat_text": "Every step can be repeated without this software. The certificates are in the trusted configuration and in "
        "META-INF/signatures.xml; docs/evidence.md has each command with an example.",
        "pair": "request and answer are both here",
        "request_only": "the answer is not among these containers",
        "response_only": "the request is not among these containers",
        "other": "what the container says of its message could not be read",
    },
    "es": {
        "title": "Informe sobre mensajes firmados",
        "made": "Hecho",
        "tool": "Herramienta",
        "configuration": "Configuración de confianza",
        "judged": "Contenedores",
        "valid_count": "válidos",
        "preface": "Cada mensaje se tomó de un contenedor firmado. «Válido» dice que el miembro nombrado como firmante firmó exactamente "
        "este mensaje, a más tardar en la hora del sello de tiempo, con un certificado que entonces era bueno.",
        "message": "Mensaje",
        "request": "Solicitud",
        "response": "Respuesta",
        "container": "Contenedor",
        "verdict": "Dictamen",
        "is_valid": "VÁLIDO",
        "is_proved": "PROBADO POR RESÚMENES, CONTENIDO OMITIDO",
        "is_invalid": "NO VÁLIDO",
        "is_unchecked": "NO SE PUDO COMPROBAR",
        "client": "Cliente",
        "service": "Proveedor y servicio",
        "method": "Protocolo y método",
        "status": "Estado de la respuesta",
        "signer": "Firmado por",
        "timestamp": "Sello de tiempo",
        "record": "Número de registro",
        "file": "Archivo",
        "step": "Paso",
        "outcome": "Resultado",
        "found": "Lo que se encontró",
        "standard": "Según",
        "outcomes": {
            "valid": "se sostiene",
            "invalid": "no se sostiene",
            "warning": "se sostiene, con observación",
        },
        "steps": {
            1: "contenedor completo",
            2: "quién debió firmar",
            3: "qué cubre la firma",
            4: "sello de tiempo",
            5: "firma y firmante",
            6: "cadena del certificado y revocación",
            7: "cuerpos",
        },
        "repeat": "Para repetirlo con otras herramientas",
        "repeat_text": "Cada paso puede repetirse sin este programa. Los certificados están en la configuración de confianza y en "
        "META-INF/signatures.xml; docs/evidence.md tiene cada orden con un ejemplo.",
        "pair": "están la solicitud y la respuesta",
        "request_only": "la respuesta no está entre estos contenedores",
        "response_only": "la solicitud no está entre estos contenedores",
        "other": "no se pudo leer lo que el contenedor dice de su mensaje",
    },
}


class ReportContext(msgspec.Struct, frozen=True):
    """The circumstances of a report: language, when, version, zone of local times, and the configuration's folder."""

    language: str
    made_at: datetime
    version: str
    zone: str
    configuration: Path


def render_report(
    judgements: Iterable[Judgement], trust: TrustedConfiguration, context: ReportContext
) -> str:
    """Render the judgements as one HTML page, which needs no other file."""
    texts, found = _TEXTS[context.language], list(judgements)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gateway.audit"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html").render(
        language=context.language,
        t=texts,
        made_at=f"{context.made_at:%Y-%m-%d %H:%M:%S}",
        version=context.version,
        instance=trust.instance,
        configuration=context.configuration,
        configuration_digest=configuration_digest(context.configuration),
        containers=len(found),
        valid=sum(j.verdict == VALID for j in found),
        pairs=_pairs(found, texts, ZoneInfo(context.zone)),
        names=_names(trust),
        standards=STANDARDS,
        recipes=RECIPES,
    )


def configuration_digest(folder: Path) -> str:
    """SHA-256 over the files of a configuration, in hex: of each its name, its length and its content, by name."""
    digest = hashlib.sha256()
    for name, content in sorted(read_configuration_files(folder).items()):
        digest.update(f"{name}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()


def _names(trust: TrustedConfiguration) -> dict[str, str]:
    """Members and their subsystems by path, with their names."""
    names: dict[str, str] = {}
    for loaded in trust.instances.values():
        for member in loaded.shared.members:
            names[member.id.path()] = member.name
            names |= {f"{member.id.path()}/{s.code}": member.name for s in member.subsystems}
    return names


def _pairs(judgements: list[Judgement], texts: Mapping[str, Any], zone: ZoneInfo) -> list[dict[str, Any]]:
    by_id: dict[str, list[Judgement]] = {}
    for place, judgement in enumerate(judgements):
        by_id.setdefault(judgement.message_id or f"?{place}", []).append(judgement)
    return [
        {
            "message_id": found[0].message_id,
            "summary": texts[_kind(found)],
            "judgements": [_shown(j, zone) for j in sorted(found, key=lambda j: j.direction != "request")],
        }
        for found in by_id.values()
    ]


def _kind(found: list[Judgement]) -> str:
    directions = {j.direction for j in found if j.direction}
    if directions == {"request", "response"}:
        return "pair"
    return f"{directions.pop()}_only" if directions else "other"


def _shown(judgement: Judgement, zone: ZoneInfo) -> dict[str, Any]:
    local = ""
    if judgement.timestamp:
        local = (
            datetime.fromisoformat(judgement.timestamp).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %z")
            + f" ({zone.key})"
        )
    provider = "/".join(judgement.service.split("/")[:4]) if judgement.service.count("/") >= 4 else ""
    return {**judgement.row(), "steps": judgement.steps, "local_time": local, "provider": provider}
