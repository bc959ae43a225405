"""Certificates that a wanted file asks for: read, and compared with what is there. Pure.

::

    [[certificate]]
    usage = "sign"                       # or "auth"
    member = "MX/GOB/15-ISSEMYM"         # whose signature; left out: the owner's
    token = "0"                          # left out: the software token
    kind = "ec-p256"                     # left out: any is good, and a new one is as the settings say
    ca = "Test CA"                       # an approved CA; left out: the only one
    order = "request"                    # write a signing request; "acme" orders from the CA
    request = "requests/sign.pem"        # where the request is written, beside the file
    subject = { O = "ISSEMYM" }          # fields that the CA's profile leaves to the operator

The profile follows from the CA. A wanted certificate that is there, or whose request waits, changes nothing. What is no
longer wanted stays: keys are destroyed by hand only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from certs.tokens.port import SOFTWARE_TOKEN_ID
from gateway.keys.model import KeyUsage
from schemas.identifiers import ClientId
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.keys.model import Key, KeyCertificate, SigningRequest
    from schemas.identifiers import ServerId


class CertificateEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One certificate as the file writes it."""

    usage: Literal["sign", "auth"]
    member: str = ""
    token: str = SOFTWARE_TOKEN_ID
    kind: Literal["", "rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384"] = ""
    ca: str = ""
    order: Literal["request", "acme"] = "request"
    request: str = ""
    subject: dict[str, str] = {}


class DesiredCertificate(msgspec.Struct, frozen=True):
    """One certificate that shall be there. ``member`` is None for authentication."""

    usage: KeyUsage
    member: ClientId | None
    token: str
    kind: str
    ca: str
    by_acme: bool
    file: str
    subject: tuple[tuple[str, str], ...]

    @property
    def label(self) -> str:
        """The label of a key made for it, by which one that a crash left is found again."""
        return f"{self.usage.value} {self.member.path()}" if self.member else self.usage.value

    def line(self) -> str:
        """The change that asking for the certificate makes, as a line of the report."""
        how = "by ACME" if self.by_acme else f"request in {self.file}"
        kind = f" {self.kind}" if self.kind else ""
        return f"certificate {self.label} from {self.ca} on token {self.token}{kind}, {how}"


class Missing(msgspec.Struct, frozen=True):
    """A wanted certificate that is not there: with a request that waits for it, or none yet."""

    desired: DesiredCertificate
    request: SigningRequest | None


def read_certificates(
    entries: Sequence[CertificateEntry], server: ServerId, approved: Sequence[str]
) -> tuple[DesiredCertificate, ...]:
    """The wanted certificates. Raises ValueError saying which entry is wrong and why."""
    found: list[DesiredCertificate] = []
    for number, entry in enumerate(entries, 1):
        where = f"certificate {number} ({entry.usage})"
        if entry.usage == "auth" and entry.member:
            raise OperatorError(
                N_("{where}: an authentication certificate is the server's and names no member", where=where)
            )
        member = None if entry.usage == "auth" else _member(entry.member, server, where)
        if not entry.ca and len(approved) != 1:
            raise OperatorError(
                N_(
                    "{where}: say which CA; approved are: {approved}",
                    where=where,
                    approved=", ".join(approved) or N_("none yet"),
                )
            )
        ca = entry.ca or approved[0]
        if approved and ca not in approved:
            raise OperatorError(
                N_(
                    "{where}: no approved CA is named {ca!r}; there are {names}",
                    where=where,
                    ca=ca,
                    names=", ".join(approved),
                )
            )
        other = "" if member in (None, server.owner) else f"-{member.member_code}"
        found.append(
            DesiredCertificate(
                KeyUsage(entry.usage),
                member,
                entry.token,
                entry.kind,
                ca,
                entry.order == "acme",
                entry.request or f"requests/{entry.usage}{other}.pem",
                tuple(entry.subject.items()),
            )
        )
    doubles = [w.label for n, w in enumerate(found) if any(_same(w, o) for o in found[:n])]
    if doubles:
        raise OperatorError(N_("certificate {name} is there twice", name=doubles[0]))
    return tuple(found)


def find_missing(
    desired: Sequence[DesiredCertificate],
    keys: Sequence[Key],
    is_good: Callable[[KeyCertificate, str], bool],
) -> tuple[Missing, ...]:
    """The desired certificates that no key has; ``is_good`` says whether a certificate is valid and of the named CA."""
    return tuple(
        Missing(one, _request(one, keys))
        for one in desired
        if not any(
            certificate.usage is one.usage
            and certificate.member in (None, one.member)
            and is_good(certificate, one.ca)
            for key in keys
            if _fits(key, one)
            for certificate in key.certificates
        )
    )


def find_spare(one: DesiredCertificate, kind: str, keys: Sequence[Key]) -> Key | None:
    """A key that was made for it and has neither request nor certificate: what a crash left."""
    return next(
        (
            key
            for key in keys
            if _fits(key, one)
            and key.kind == kind
            and key.label == one.label
            and not key.requests
            and not key.certificates
        ),
        None,
    )


def _fits(key: Key, one: DesiredCertificate) -> bool:
    return key.token_id == one.token and key.usage in (None, one.usage) and one.kind in ("", key.kind)


def _request(one: DesiredCertificate, keys: Sequence[Key]) -> SigningRequest | None:
    return next(
        (
            request
            for key in keys
            if _fits(key, one)
            for request in key.requests
            if request.usage is one.usage and request.member == one.member and request.ca_name == one.ca
        ),
        None,
    )


def _same(one: DesiredCertificate, other: DesiredCertificate) -> bool:
    return (one.label, one.token, one.ca) == (other.label, other.token, other.ca)


def _member(text: str, server: ServerId, where: str) -> ClientId:
    if not text:
        return server.owner
    parts = text.split("/")
    if len(parts) != 3:
        raise OperatorError(
            N_("{where}: {text!r} is not instance/class/code of a member", where=where, text=text)
        )
    return ClientId(*parts)
