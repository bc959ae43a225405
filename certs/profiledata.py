"""Certificate profiles from TOML: a new CA's way of writing subjects, without a line of code.

::

    [[profile]]
    name = "Efirma"
    sign = [
        { field = "C", value = "MX" },
        { field = "O", value = "{name}", label = "ORGANIZATION_NAME" },
        { field = "x500UniqueIdentifier", value = "{code}" },
        { field = "CN", value = "{name}", fixed = false },
    ]
    auth = [{ field = "C", value = "MX" }, { field = "CN", value = "{address}", fixed = false }]
    class = { value = "GOB" }
    code = { field = "x500UniqueIdentifier", pattern = "([A-Z0-9-]+)( / .*)?" }

``class``, ``code`` and ``instance`` say where a signing certificate names its member: a fixed value, or a field of its
subject of which the first group of ``pattern`` counts. Without ``instance`` the member is of the instance at hand. The Java
class of the central server's profile field matches by its short name, as for the standard profiles.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import msgspec

from certs.profiles import ALTERNATIVE_NAME, FIELD_OIDS, CertificateProfile, SubjectField

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.x509.oid import ObjectIdentifier


class _Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    field: str
    value: str = ""
    label: str = "COMMON_NAME"
    fixed: bool = True
    required: bool = True


class _Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: str = ""
    field: str = ""
    pattern: str = "(.+)"


class _Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    sign: list[_Field]
    auth: list[_Field]
    class_: _Source = msgspec.field(name="class")
    code: _Source
    instance: _Source | None = None


class _ProfileFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    profile: list[_Profile]


def parse_profiles(text: str) -> tuple[CertificateProfile, ...]:
    """The profiles of a TOML text. Raises ValueError saying what is wrong where."""
    try:
        return tuple(_profile(p) for p in msgspec.convert(tomllib.loads(text), _ProfileFile).profile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, re.error) as err:
        raise ValueError(f"the certificate profiles cannot be read: {err}") from err


def _profile(raw: _Profile) -> CertificateProfile:
    return CertificateProfile(
        raw.name, _fields(raw.name, raw.sign), _fields(raw.name, raw.auth), (_rule(raw),)
    )


def _fields(profile: str, fields: list[_Field]) -> tuple[SubjectField, ...]:
    for field in fields:
        if field.field != ALTERNATIVE_NAME:
            _oid(profile, field.field)
        try:
            field.value.format_map(_EXAMPLE)
        except (KeyError, ValueError, IndexError) as err:
            raise ValueError(
                f"profile {profile}: the value {field.value!r} uses {err}; {{{'}, {'.join(_EXAMPLE)}}} can be used"
            ) from err
    return tuple(SubjectField(f.field, f.value, f.label, f.fixed, f.required) for f in fields)


_EXAMPLE = dict.fromkeys(
    ("instance", "class", "code", "name", "server", "server_path", "address", "country"), "x"
)


def _oid(profile: str, field: str) -> ObjectIdentifier:
    if field not in FIELD_OIDS:
        raise ValueError(f"profile {profile}: {field!r} is none of {', '.join(FIELD_OIDS)}")
    return FIELD_OIDS[field]


def _rule(
    raw: _Profile,
) -> Callable[[Mapping[ObjectIdentifier, str], str], tuple[str, str, str] | None]:
    readers = [_reader(raw.name, source) for source in (raw.class_, raw.code)]
    instance_reader = None if raw.instance is None else _reader(raw.name, raw.instance)

    def rule(subject: Mapping[ObjectIdentifier, str], instance: str) -> tuple[str, str, str] | None:
        member_class, code = (read(subject) for read in readers)
        found = instance if instance_reader is None else instance_reader(subject)
        return (found, member_class, code) if found and member_class and code else None

    return rule


def _reader(profile: str, source: _Source) -> Callable[[Mapping[ObjectIdentifier, str]], str | None]:
    if bool(source.value) == bool(source.field):
        raise ValueError(f"profile {profile}: class, code and instance need either a value or a field")
    if source.value:
        return lambda _subject: source.value
    oid, pattern = _oid(profile, source.field), re.compile(source.pattern)
    if pattern.groups < 1:
        raise ValueError(f"profile {profile}: the pattern {source.pattern!r} has no group")

    def read(subject: Mapping[ObjectIdentifier, str]) -> str | None:
        match = pattern.fullmatch(subject.get(oid, ""))
        return None if match is None else match.group(1)

    return read
