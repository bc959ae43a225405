"""Commands of openssl and xmlsec1 that repeat the proof of a container, complete as they stand: certificates, names and times are in them.

They run in ``sh`` with coreutils and unzip, in an empty folder, in the order of the report. What they leave to us is said in
docs/evidence.md: the arithmetic of hash chains, and whose name a certificate has.
"""

from __future__ import annotations

import re
import shlex
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.audit.evidence import contained, open_evidence
from schemas import xades
from schemas.asic.container import read_container
from schemas.zipreading import open_zip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from gateway.audit.judging import Judgement

_PATTERN = re.compile(r"[\[\]*?\\]")
_FLAT = r"tr -d '\n\r' < META-INF/signatures.xml"
# What each command is for, said in the comment above it.
COMMENTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "trust": "The authorities of the trusted configuration.",
        "file": "The file is the one of this report.",
        "timestamp": "Step 4, RFC 3161: the timestamp, over the result of the batch's hash chain, which has this signature document.",
        "alone": "Step 4, RFC 3161: the timestamp, over the signature value.",
        "signature": "Steps 3, 5 and the path of 6, XML-DSig and XAdES: the signature, its certificate, what it is over.",
        "status": "Step 6, RFC 6960: what the OCSP response in it says of the certificate.",
        "bodies": "Step 7, SHA-512: message and bodies are those that the hash chain names.",
    },
    "es": {
        "trust": "Las autoridades de la configuración de confianza.",
        "file": "El archivo es el de este informe.",
        "timestamp": "Paso 4, RFC 3161: el sello de tiempo, sobre el resultado de la cadena del lote, que trae este documento de firma.",
        "alone": "Paso 4, RFC 3161: el sello de tiempo, sobre el valor de la firma.",
        "signature": "Pasos 3, 5 y la cadena del 6, XML-DSig y XAdES: la firma, su certificado, lo que cubre.",
        "status": "Paso 6, RFC 6960: lo que la respuesta OCSP que contiene dice del certificado.",
        "bodies": "Paso 7, SHA-512: mensaje y cuerpos son los que nombra la cadena de resúmenes.",
    },
}


class ContainerFacts(msgspec.Struct, frozen=True):
    """The facts of a valid container that a report has besides its judgement: its files, and when its signer says it signed."""

    names: tuple[str, ...]
    signed_at: str


def read_facts(judgement: Judgement) -> ContainerFacts:
    """Read a container that was judged once more. Raises OSError, `BadMessage`."""
    with open_evidence(judgement.file) as source:
        if not judgement.container or judgement.container not in contained(source):
            return _facts(source)
        with open_zip(source).open(judgement.container) as container:
            return _facts(container)


def _facts(container: IO[bytes]) -> ContainerFacts:
    container.seek(0)
    names = tuple(open_zip(container).names)
    container.seek(0)
    document = xades.parse_signature_document(read_container(container).signature)
    return ContainerFacts(names, document.signing_time)


def render_trust(trust: TrustedConfiguration, language: str) -> str:
    """Commands that write the authorities' certificates: ``ca-N.pem``, and ``tsa.pem`` with all timestamping authorities."""
    files = {f"ca-{n}.pem": [c] for n, c in enumerate(trust.all_ca_certificates(), 1)}
    files["tsa.pem"] = list(trust.tsa_certificates())
    written = [
        f"cat > {name} <<'END'\n{''.join(_pem(c) for c in certificates)}END"
        for name, certificates in files.items()
    ]
    return "\n".join([f"# {COMMENTS[language]['trust']}", *written])


def render_recipe(
    judgement: Judgement, facts: ContainerFacts, trust: TrustedConfiguration, number: int, language: str
) -> str:
    """Commands that prove a valid container, the report's ``number``th."""
    says, folder = COMMENTS[language], f"container-{number}"
    moment = datetime.fromisoformat(judgement.timestamp)
    file = shlex.quote(f"./{judgement.file}" if judgement.file.startswith("-") else judgement.file)
    # In names unzip reads `[`, `*` and `?` as patterns: the bundle has another here, and that of the container is escaped.
    inside = shlex.quote(_PATTERN.sub(r"\\\g<0>", judgement.container))
    from_bundle = f"ln -sf {file} bundle-{number}.zip && unzip -p bundle-{number}.zip {inside}"
    taken = from_bundle if judgement.container else f"cat {file}"
    lines = [
        f"# {says['file']}",
        f"{taken} > {folder}.asice",
        f'echo "{judgement.sha256}  {folder}.asice" | sha256sum -c -',
        f"unzip -q -d {folder} {folder}.asice && cd {folder}",
        *_timestamp_lines(facts.names, int(moment.timestamp()), says),
        f"# {says['signature']}",
        _xmlsec(facts.names, trust, moment),
        f"# {says['status']}",
        f"{_FLAT} | sed -E 's/.*<([a-z]+:)?EncapsulatedOCSPValue[^>]*>([^<]*)<.*/\\2/' | base64 -di > ocsp.der",
        "openssl ocsp -respin ocsp.der -noverify -resp_text | grep 'Cert Status: good'",
    ]
    if "sig-hashchain.xml" in facts.names:
        lines.append(f"# {says['bodies']}")
        lines += [_named_in(name, "sig-hashchain.xml") for name in _signed_names(facts.names)]
    return "\n".join([*lines, "cd .."])


def _timestamp_lines(names: Sequence[str], at: int, says: Mapping[str, str]) -> list[str]:
    verified = f"-CAfile ../tsa.pem -partial_chain -attime {at}"
    if "META-INF/timestamp.tst" in names:
        return [
            f"# {says['timestamp']}",
            f"openssl ts -verify -token_in -in META-INF/timestamp.tst -data ts-hashchainresult.xml {verified}",
            _named_in("META-INF/signatures.xml", "ts-hashchain.xml"),
        ]
    return [
        f"# {says['alone']}",
        f"{_FLAT} | sed -E 's/.*<([a-z]+:)?EncapsulatedTimeStamp[^>]*>([^<]*)<.*/\\2/' | base64 -di > token.der",
        f"{_FLAT} | sed -E 's/.*<([a-z]+:)?SignatureValue[^>]*>([^<]*)<.*/\\2/' | base64 -di > value",
        f"openssl ts -verify -token_in -in token.der -data value {verified}",
    ]


def _xmlsec(names: Sequence[str], trust: TrustedConfiguration, at: datetime) -> str:
    mapped = [
        f"--url-map:/{name} {shlex.quote(name)}"
        for name in (*_signed_names(names), "sig-hashchainresult.xml")
    ]
    trusted = [
        f"--{'trusted' if c.issuer == c.subject else 'untrusted'}-pem ../ca-{n}.pem"
        for n, c in enumerate(trust.all_ca_certificates(), 1)
    ]
    words = [
        "xmlsec1 --verify --enabled-reference-uris empty,same-doc,remote",
        *(m for m in mapped if m.rpartition(" ")[2] in names),
        "--id-attr:Id http://uri.etsi.org/01903/v1.3.2#:SignedProperties",
        f'--verification-gmt-time "{at:%Y-%m-%d %H:%M:%S}"',
        *trusted,
        "META-INF/signatures.xml",
    ]
    return " \\\n    ".join(words)


def _signed_names(names: Sequence[str]) -> list[str]:
    return [name for name in names if name == "message.xml" or name.startswith("attachment")]


def _named_in(name: str, chain: str) -> str:
    """A command that finds a file's digest in a hash chain."""
    return f'grep -qF "$(openssl dgst -sha512 -binary {shlex.quote(name)} | base64 -w0)" {chain}'


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
