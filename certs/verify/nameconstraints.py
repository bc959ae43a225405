"""Name constraints: what the CAs of a path allow the names below them to be.

Every CA of the path is heard, the anchor too, whether it marked its constraints critical or not. A name that cannot be
compared with a constraint of its kind is refused, and so is a constraint that is malformed.

Spec: RFC 5280 4.2.1.10, 6.1.4 (g), 7.1.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from certs.certificates import name_text
from schemas.faults import Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Sequence

# Comparisons of a name with a constraint in one path: a CA's hundred constraints over a certificate's hundred names, and more.
_MOST_COMPARED = 1 << 16
_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
# A name and its kind, as `x509.GeneralName` has them.
_Name = tuple[type[x509.GeneralName], Any]


def check_name_constraints(path: Sequence[x509.Certificate]) -> None:
    """Refuse a path, leaf first and anchor last, with a name that a CA above it does not allow.

    Raises `NotProved` (``cert_validation``).
    """
    left = _MOST_COMPARED
    for above, issuer in enumerate(path[1:], start=1):
        constraints = _constraints(issuer)
        if constraints is None:
            continue
        permitted, excluded = constraints.permitted_subtrees or [], constraints.excluded_subtrees or []
        for below, certificate in enumerate(path[:above]):
            if below and certificate.subject == certificate.issuer:
                continue  # a CA's own new key
            names = _names(certificate)
            left -= len(names) * (len(permitted) + len(excluded))
            if left < 0:
                raise _refused(certificate, issuer, "there are too many names and constraints to compare")
            for name in names:
                _check_name(name, permitted, excluded, certificate, issuer)


def _names(certificate: x509.Certificate) -> list[_Name]:
    """The names that a certificate is about: its subject, its alternative names, and e-mail addresses in the subject."""
    subject = certificate.subject
    names: list[_Name] = [(x509.DirectoryName, subject)] if subject.rdns else []
    with contextlib.suppress(x509.ExtensionNotFound):
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += [(type(name), name.value) for name in alternative]
    mailboxes = subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
    return [*names, *((x509.RFC822Name, attribute.value) for attribute in mailboxes)]


def _constraints(certificate: x509.Certificate) -> x509.NameConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def _check_name(
    name: _Name,
    permitted: Sequence[x509.GeneralName],
    excluded: Sequence[x509.GeneralName],
    certificate: x509.Certificate,
    issuer: x509.Certificate,
) -> None:
    kind, value = name
    allowing = [c.value for c in permitted if type(c) is kind]
    try:
        if any(_covers(kind, c.value, value, may=True) for c in excluded if type(c) is kind):
            raise _refused(certificate, issuer, f"it excludes {_shown(value)}")
        if allowing and not any(_covers(kind, c, value, may=False) for c in allowing):
            raise _refused(certificate, issuer, f"it does not permit {_shown(value)}")
    except ValueError as err:
        raise _refused(certificate, issuer, f"{_shown(value)} cannot be compared: {err}") from None


def _covers(kind: type[x509.GeneralName], constraint: Any, name: Any, *, may: bool) -> bool:
    """Whether a constraint covers a name of its kind; ``may``: whether it covers any name that a pattern stands for."""
    if kind is x509.DNSName:
        return _dns_covers(constraint, name, may=may)
    if kind is x509.IPAddress:
        return _ip_covers(constraint, name)
    if kind is x509.DirectoryName:
        required, given = _rdns(constraint), _rdns(name)
        return given[: len(required)] == required
    if kind is x509.RFC822Name:
        return _email_covers(constraint, str(name))
    if kind is x509.UniformResourceIdentifier:
        return _host_covers(constraint, _host(urlsplit(name).hostname or ""))
    raise ValueError(f"constraints of the kind {kind.__name__} are not known here")


def _dns_covers(constraint: str, name: str, *, may: bool) -> bool:
    required = _host(constraint) if constraint else ""
    wild = name.startswith("*.")
    given = _host(name[2:] if wild else name)
    if not required or given == required or given.endswith(f".{required}"):
        return True
    return may and wild and required.endswith(f".{given}") and "." not in required[: -len(given) - 1]


def _ip_covers(network: Any, address: Any) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped if mapped is not None and network.version == 4 else address
    if not isinstance(address, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        raise ValueError("it is no address")
    return address.version == network.version and address in network


def _email_covers(constraint: str, name: str) -> bool:
    local, _, host = name.rpartition("@")
    if not local or "@" in local or not name.isascii():
        raise ValueError("it is no mailbox of ASCII characters")
    mailbox, at, required = constraint.rpartition("@")
    if not at:
        return _host_covers(constraint, _host(host))
    if not mailbox or "@" in mailbox:
        raise ValueError(f"the constraint {constraint!r} is malformed")
    return mailbox == local and _host(required) == _host(host)


def _host_covers(constraint: str, host: str) -> bool:
    """A host covers itself only; a domain, which begins with a period, every host below it."""
    if constraint.startswith("."):
        return host.endswith(f".{_host(constraint[1:])}")
    return host == _host(constraint)


def _host(text: str) -> str:
    if not _HOST.fullmatch(text) or text.rpartition(".")[2].isdecimal():
        raise ValueError(f"{text!r} is no name of a host")
    return text.lower()


@lru_cache(maxsize=4096)
def _rdns(name: x509.Name) -> tuple[frozenset[tuple[str, object]], ...]:
    """A distinguished name as it is compared: without regard to case and repeated white space."""
    return tuple(frozenset((a.oid.dotted_string, _folded(a.value)) for a in rdn) for rdn in name.rdns)


def _folded(value: str | bytes) -> object:
    return " ".join(value.casefold().split()) if isinstance(value, str) else value


def _shown(value: object) -> str:
    return repr(name_text(value) if isinstance(value, x509.Name) else str(value))[:200]


def _refused(certificate: x509.Certificate, issuer: x509.Certificate, reason: str) -> NotProved:
    return NotProved(
        Kind.CERT_VALIDATION,
        f"{name_text(certificate.subject)!r} is outside of the name constraints of "
        f"{name_text(issuer.subject)!r}: {reason}",
    )
