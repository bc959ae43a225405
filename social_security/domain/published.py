"""What ONIESS publishes signed for every system: members, calendars, benefits, conventions, privacy notices; with its version and end.

Pure. Whatever is refused is a ValueError that says what was expected, what came and what to do. The envelope is DSSE: the signature covers the payload's bytes as they came, and those same bytes are then read. A
publication is taken whole or refused with the reason; its version never goes back, and the same version is always the same
bytes. After its last moment it decides nothing any more.

Spec: the domain reference 5.2; DSSE v1.0.2 (secure-systems-lab).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from schemas.jsontext import load_json
from social_security.domain.calendars import parse_calendar
from social_security.domain.eventchain import canonical
from social_security.domain.history import parse_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

PAYLOAD_TYPE: Final = "application/vnd.sacbe.oniess-publication+json"
FORMAT: Final = "sacbe-publication/1"
# The parts of a publication, each a document of the same form as the package's own.
PARTS: Final = ("members", "calendars", "benefits", "conventions", "notices")
# How far ONIESS's clock may be before a system's.
SKEW: Final = timedelta(minutes=10)
_CLASSES: Final = ("GOB", "GAR", "EXT")


@dataclass(frozen=True, slots=True)
class SignedLists:
    """A publication whose signature held: ``sha256`` is that of its payload, ``parts`` its documents by name."""

    version: int
    issued: datetime
    until: datetime
    sha256: str
    parts: Mapping[str, Any]

    def is_over(self, now: datetime) -> bool:
        """Whether its last moment has passed."""
        return now > self.until


def build_payload(version: int, issued: datetime, until: datetime, parts: Mapping[str, Any]) -> bytes:
    """The bytes that ONIESS signs. Raises ValueError for parts that no system could use."""
    if version < 1 or until <= issued:
        raise ValueError(f"a version from 1 on and an end after {issued}; got {version} and {until}")
    payload = canonical(
        {
            "format": FORMAT,
            "version": version,
            "issued": issued.astimezone(UTC).isoformat(timespec="seconds"),
            "until": until.astimezone(UTC).isoformat(timespec="seconds"),
            "parts": dict(parts),
        }
    )
    _parse(payload)
    return payload


def sign_payload(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """The envelope that is published."""
    signature = {"keyid": key_id(key.public_key()), "sig": _b64(key.sign(_signed(payload)))}
    return canonical({"payloadType": PAYLOAD_TYPE, "payload": _b64(payload), "signatures": [signature]})


def verify_published(envelope: Mapping[str, Any], public_key: Ed25519PublicKey) -> SignedLists:
    """The publication of an envelope.

    Raises ValueError: 1. it is no envelope of a publication; 2. it is not signed with ONIESS's key; 3. its payload
    cannot be read or used.
    """
    try:  # 1
        if envelope["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"payloadType {PAYLOAD_TYPE} was expected, not {envelope['payloadType']!r:.80}")
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [base64.b64decode(s["sig"], validate=True) for s in envelope["signatures"]]
    except (KeyError, TypeError, binascii.Error) as err:
        raise ValueError(f"this is no signed publication ({type(err).__name__})") from err
    if not any(_holds(public_key, signature, payload) for signature in signatures[:8]):  # 2
        identifier = key_id(public_key)
        raise ValueError(
            f"not signed with the key of ONIESS that is trusted here (keyid {identifier}): nothing was taken"
        )
    return _parse(payload)  # 3


def check_follows(new: SignedLists, kept: SignedLists | None, now: datetime) -> None:
    """Refuse a publication that is over, not yet issued, older than the one that is kept, or the same version with other bytes."""
    if new.is_over(now):
        raise ValueError(
            f"version {new.version} ended on {new.until.isoformat()}; ONIESS publishes a new one"
        )
    if new.issued > now + SKEW:
        raise ValueError(
            f"version {new.version} is issued on {new.issued.isoformat()}, which is to come; check the clock"
        )
    if kept is None:
        return
    if new.version < kept.version:
        raise ValueError(
            f"version {kept.version} is kept here and {new.version} came: a version never goes back"
        )
    if new.version == kept.version and new.sha256 != kept.sha256:
        raise ValueError(
            f"version {new.version} came with other content than the one kept here (SHA-256 {kept.sha256}): ONIESS must explain"
        )


def read_public_key(pem: bytes) -> Ed25519PublicKey:
    """ONIESS's public key out of PEM. Raises ValueError."""
    try:
        key = load_pem_public_key(pem)
    except ValueError as err:
        raise ValueError("no public key in PEM") from err
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("ONIESS publishes with an Ed25519 key; this is another kind")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 of the key (SubjectPublicKeyInfo), as both sides read it to each other."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _signed(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _holds(key: Ed25519PublicKey, signature: bytes, payload: bytes) -> bool:
    try:
        key.verify(signature, _signed(payload))
    except InvalidSignature:
        return False
    return True


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _parse(payload: bytes) -> SignedLists:
    try:
        value = load_json(payload)
        if value["format"] != FORMAT:
            raise ValueError(f"format {FORMAT} was expected, not {value['format']!r:.40}")
        parts = value["parts"]
        _check_members(parts["members"]["members"])
        _check_calendars(parts["calendars"], {m["code"] for m in parts["members"]["members"]})
        for convention in parts["conventions"]["conventions"]:
            parse_rules(convention["rules"])
        for notice in parts["notices"]["notices"]:
            _check_notice(notice)
        if not all(b["clave"] and b["instituto"] for b in parts["benefits"]["benefits"]):
            raise ValueError("a benefit without clave or instituto")
        return SignedLists(
            int(value["version"]),
            datetime.fromisoformat(value["issued"]),
            datetime.fromisoformat(value["until"]),
            hashlib.sha256(payload).hexdigest(),
            {name: parts[name] for name in PARTS},
        )
    except (KeyError, TypeError, AttributeError) as err:
        raise ValueError(
            f"the publication's content is not of its form: {type(err).__name__}: {err!s:.120}"
        ) from err


def _check_members(members: list[dict[str, Any]]) -> None:
    codes = [m["code"] for m in members]
    if len(set(codes)) != len(codes):
        raise ValueError("a member's code comes twice")
    for member in members:
        if member["class"] not in _CLASSES or not member["name"].strip():
            raise ValueError(
                f"member {member['code']!r:.40} has no class of {', '.join(_CLASSES)}, or no name"
            )
        ZoneInfo(member["zone"])
    _check_successors({m["code"]: m.get("successor", "") for m in members})
    if not {"00-RNSS", "00-ONIESS"} <= set(codes):
        raise ValueError("the registry and ONIESS are not among the members")


def _check_successors(successors: Mapping[str, str]) -> None:
    """Refuse a successor that is no member, or by which nobody would hold the persons in the end."""
    for code in successors:
        after, seen = code, {code}
        while successors[after]:
            after = successors[after]
            if after not in successors or after in seen:
                raise ValueError(
                    f"the successor of {code!r:.40} must be a member that has not left to it, not {after!r:.40}"
                )
            seen.add(after)


def _check_calendars(document: Mapping[str, Any], codes: set[str]) -> None:
    strangers = set(document.get("members", {})) - codes
    if strangers:
        raise ValueError(f"calendars of who is no member: {', '.join(sorted(strangers))[:120]}")
    for own in (document, *document.get("entities", {}).values(), *document.get("members", {}).values()):
        parse_calendar(
            {
                "id": "",
                "version": "",
                "zone": "",
                "holidays": own.get("federal_holidays", own.get("holidays", [])),
                "suspensions": own.get("suspensions", []),
                "recurring": own.get("federal_recurring", own.get("recurring", [])),
                "cut_off_hour": own.get("cut_off_hour"),
            }
        )


def _check_notice(notice: Mapping[str, str]) -> None:
    if not notice["uri"].startswith("https://") or len(bytes.fromhex(notice["sha256"])) != 32:
        raise ValueError(f"a notice has an https address and a SHA-256, not {notice['uri']!r:.80}")
