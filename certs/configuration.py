"""The trusted configuration: anchor in, verified parts out; and the questions the rest of the software asks of it.

`verify_directory` is the one way from bytes to trust: certificate found by its hash among the anchor's, signature,
expiry, then the list of parts. `TrustedConfiguration` is one immutable snapshot of all loaded instances with every hot
question answered from an index. `TrustedConfiguration.load` also reads what a configuration client has stored, or what
``/verificationconf`` gave, for verifiers that work offline.

Spec: PR-GCONF; X-Road 7.8's GlobalConfImpl for the meaning of each question.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from certs.algorithms import SignatureAlgorithm, verify_digest_signature
from certs.certificates import name_text, parse_certificate
from certs.profiles import STANDARD_PROFILES, CertificateProfiles
from certs.proofmemory import ProofMemory
from schemas.faults import Fault, Kind, NotProved
from schemas.globalconf import parts as optional_parts
from schemas.globalconf.directory import (
    Directory,
    DirectorySignature,
    find_certificate,
    parse_signed_content,
    render_directory,
    render_signed_content,
    split_directory,
)
from schemas.globalconf.parts import FILE_NAMES, PRIVATE_ID, SHARED_ID
from schemas.globalconf.private import PrivateParameters, parse_private
from schemas.globalconf.shared import CURRENT_VERSION, SharedParameters, parse_shared
from schemas.identifiers import ClientId, ServerId
from schemas.jsontext import load_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cryptography import x509

    from certs.tokens.port import KeyId, Signer
    from schemas.globalconf.shared import (
        ApprovedCa,
        ApprovedTsa,
        CaInfo,
        GlobalGroup,
        OcspInfo,
        SecurityServer,
    )
    from schemas.identifiers import GlobalGroupId

SHA512_URI = "http://www.w3.org/2001/04/xmlenc#sha512"
_FOR_EVER = datetime.max.replace(tzinfo=UTC)
_generations = itertools.count(1)


# Signing and verifying a directory


async def sign_directory(
    directory: Directory,
    signer: Signer,
    key_id: KeyId,
    algorithm: SignatureAlgorithm,
    verification_certificate: bytes,
    boundaries: tuple[str, str],
) -> bytes:
    """The signed directory as it is served. ``boundaries`` are the outer and the inner one, fresh and random."""
    outer, inner = boundaries
    signed = render_signed_content(directory, inner)
    value = await signer.sign(key_id, algorithm.digest.digest(signed), algorithm)
    signature = DirectorySignature(
        algorithm.uri, SHA512_URI, hashlib.sha512(verification_certificate).digest(), value
    )
    return render_directory(signed, inner, outer, signature)


def verify_directory(raw: bytes, verification_certificates: Sequence[bytes], now: datetime) -> Directory:
    """The directory in ``raw``, once its signature and its expiry hold. Raises `Fault`.

    1. The verification certificate is one of those given, found by hash. 2. Its key made the signature over the signed
    bytes. 3. The directory has not expired. The certificate's own validity is not looked at: it only carries a key.
    """
    split = split_directory(raw)
    certificate = find_certificate(split.signature, verification_certificates)
    try:
        algorithm = SignatureAlgorithm.from_uri(split.signature.algorithm_uri)
        verify_digest_signature(
            parse_certificate(certificate).public_key(),
            split.signature.value,
            algorithm.digest.digest(split.signed),
            algorithm,
            ecdsa_format="der",
        )
    except NotProved as fault:
        raise Fault(
            Kind.GLOBAL_CONF_SIGNATURE_FAILURE, f"the directory's signature does not hold: {fault.detail}"
        ) from fault
    directory = parse_signed_content(split)
    if directory.expires_at <= now:
        raise Fault(
            Kind.GLOBAL_CONF_OUTDATED,
            f"the directory expired at {directory.expires_at:%Y-%m-%d %H:%M:%S %Z}; it is {now:%Y-%m-%d %H:%M:%S %Z} here",
        )
    return directory


# One instance, then all of them


@dataclass(frozen=True)
class InstanceConfiguration:
    """The verified parameters of one instance and until when they hold."""

    shared: SharedParameters
    expires_at: datetime = _FOR_EVER
    private: PrivateParameters | None = None

    @cached_property
    def ca_infos(self) -> tuple[tuple[ApprovedCa, CaInfo, x509.Certificate], ...]:
        """Every approved CA certificate with its entry, tops first within each CA."""
        return tuple(
            (ca, info, parse_certificate(info.certificate))
            for ca in self.shared.approved_cas
            for info in (ca.top, *ca.intermediates)
        )

    @cached_property
    def by_subject(self) -> dict[x509.Name, list[tuple[ApprovedCa, CaInfo, x509.Certificate]]]:
        """Approved CA certificates by their subject."""
        found: dict[x509.Name, list[tuple[ApprovedCa, CaInfo, x509.Certificate]]] = {}
        for entry in self.ca_infos:
            found.setdefault(entry[2].subject, []).append(entry)
        return found

    @cached_property
    def servers_of(self) -> dict[ClientId, tuple[SecurityServer, ...]]:
        """The servers of each client, owners included."""
        found: dict[ClientId, list[SecurityServer]] = {}
        for server in self.shared.security_servers:
            for client in {server.id.owner, *server.clients}:
                found.setdefault(client, []).append(server)
        return {client: tuple(servers) for client, servers in found.items()}

    @cached_property
    def servers(self) -> dict[ServerId, SecurityServer]:
        """The instance's security servers, by identifier."""
        return {s.id: s for s in self.shared.security_servers}

    @cached_property
    def by_auth_certificate(self) -> dict[bytes, SecurityServer]:
        """Security servers by the digests of their auth certificates."""
        return {d: s for s in self.shared.security_servers for d in s.auth_certificate_digests}

    @cached_property
    def groups(self) -> dict[GlobalGroupId, GlobalGroup]:
        """The instance's global groups, by identifier."""
        return {g.id: g for g in self.shared.global_groups}

    @cached_property
    def names(self) -> dict[ClientId, str]:
        """Names of members and, under them, of subsystems that have one of their own."""
        found = {m.id: m.name for m in self.shared.members}
        for member in self.shared.members:
            for subsystem in member.subsystems:
                found[member.id.subsystem(subsystem.code)] = subsystem.name or member.name
        return found


@dataclass(frozen=True)
class TrustedConfiguration:
    """All instances at hand. Two snapshots never share a ``generation``: caches may key on it."""

    instance: str
    instances: Mapping[str, InstanceConfiguration]
    parts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    # By which the subjects of signing certificates are read.
    profiles: CertificateProfiles = field(default=STANDARD_PROFILES, repr=False, compare=False)
    generation: int = field(default_factory=lambda: next(_generations), compare=False)
    # Where verification keeps what it proved under this snapshot (`certs.verify`).
    memory: ProofMemory = field(default_factory=ProofMemory, init=False, repr=False, compare=False)

    @classmethod
    def load(
        cls,
        files: Mapping[str, bytes],
        *,
        now: datetime | None = None,
        strict: bool = True,
        profiles: CertificateProfiles = STANDARD_PROFILES,
        known: Sequence[SharedParameters] = (),
    ) -> TrustedConfiguration:
        """Read a stored configuration: ``instance-identifier`` and ``<folder>/<part>`` with optional ``.metadata``.

        Expired foreign instances are left out when ``now`` is given. ``strict`` refuses an instance that cannot be
        read; otherwise it is left out. ``profiles`` read the subjects of signing certificates. Parameters that are among ``known``,
        byte by byte, are not read again. Raises `Fault` when the own instance is not there.
        """
        if "instance-identifier" not in files:
            raise Fault(
                Kind.MALFORMED_GLOBAL_CONF,
                "the configuration folder has no file instance-identifier; "
                "expected is what GET /verificationconf of a gateway gives",
            )
        own = files["instance-identifier"].decode("utf-8", "replace").strip()
        folders = sorted({name.partition("/")[0] for name in files if "/" in name})
        instances: dict[str, InstanceConfiguration] = {}
        stored: dict[str, bytes] = {}
        for folder in folders:
            try:
                loaded = _load_instance(folder, files, known)
            except Fault:
                if strict:
                    raise
                continue
            if loaded is None:
                continue
            name = loaded.shared.instance
            if name != own and now is not None and loaded.expires_at <= now:
                continue
            instances[name] = loaded
            if name == own:
                stored = {
                    part: files[f"{folder}/{file}"]
                    for part, file in FILE_NAMES.items()
                    if f"{folder}/{file}" in files
                }
        if own not in instances:
            raise Fault(
                Kind.MALFORMED_GLOBAL_CONF,
                f"the configuration folder has no shared parameters of instance {own!r}",
            )
        return cls(own, instances, stored, profiles)

    @property
    def own(self) -> InstanceConfiguration:
        """The configuration of this server's own instance."""
        return self.instances[self.instance]

    @property
    def expires_at(self) -> datetime:
        """Until when the own instance's parameters hold."""
        return self.own.expires_at

    def check_fresh(self, now: datetime) -> None:
        """Refuse a configuration that has expired. Raises `Fault` (``global_conf_outdated``)."""
        if now >= self.expires_at:
            raise Fault(
                Kind.GLOBAL_CONF_OUTDATED,
                f"the global configuration expired at {self.expires_at:%Y-%m-%d %H:%M:%S %Z}; the central server has "
                "not been reached since, or this clock is wrong",
            )

    # Members, servers, groups

    def all_shared(self) -> tuple[SharedParameters, ...]:
        """The shared parameters of every instance at hand."""
        return tuple(loaded.shared for loaded in self.instances.values())

    def shared(self, instance: str) -> SharedParameters | None:
        """The shared parameters of an instance at hand."""
        found = self.instances.get(instance)
        return None if found is None else found.shared

    @property
    def private(self) -> PrivateParameters | None:
        """The private parameters of the own instance."""
        return self.own.private

    def servers_of(self, client: ClientId) -> tuple[SecurityServer, ...]:
        """The security servers where a client is registered, or which it owns."""
        found = self.instances.get(client.instance)
        return () if found is None else found.servers_of.get(client, ())

    def server(self, server_id: ServerId) -> SecurityServer | None:
        """A security server by identifier."""
        found = self.instances.get(server_id.instance)
        return None if found is None else found.servers.get(server_id)

    @cached_property
    def _certificate_digest_name(self) -> str:
        return "sha1" if self.own.shared.version == 2 else "sha256"

    def auth_certificate_digest(self, der: bytes) -> bytes:
        """The digest under which the own instance's version lists an auth certificate."""
        return hashlib.new(self._certificate_digest_name, der, usedforsecurity=False).digest()

    def server_by_auth_certificate(self, der: bytes) -> SecurityServer | None:
        """The security server, of any instance at hand, that lists an auth certificate."""
        digest = self.auth_certificate_digest(der)
        for loaded in self.instances.values():
            found = loaded.by_auth_certificate.get(digest)
            if found is not None:
                return found
        return None

    def auth_certificate_matches(self, der: bytes, client: ClientId) -> bool:
        """Whether an auth certificate is listed on a server that has the client as owner or client."""
        digest = self.auth_certificate_digest(der)
        return any(digest in s.auth_certificate_digests for s in self.servers_of(client))

    def known_member(self, client: ClientId) -> bool:
        """Whether a member or subsystem is in the registry."""
        return self.member_name(client) is not None

    def member_name(self, client: ClientId) -> str | None:
        """The name of a member, or of a subsystem, or of the member that the nameless subsystem belongs to."""
        found = self.instances.get(client.instance)
        return None if found is None else found.names.get(client)

    def global_group(self, group: GlobalGroupId) -> GlobalGroup | None:
        """A global group of any instance at hand."""
        found = self.instances.get(group.instance)
        return None if found is None else found.groups.get(group)

    def in_global_group(self, client: ClientId, group: GlobalGroupId) -> bool:
        """Whether exactly this client is in a global group."""
        found = self.global_group(group)
        return found is not None and client in found.members

    # Certificates

    def approved_ca_entries(
        self, subject: x509.Name, instance: str
    ) -> Sequence[tuple[ApprovedCa, CaInfo, x509.Certificate]]:
        """The approved CA certificates of an instance that have a subject."""
        found = self.instances.get(instance)
        return () if found is None else found.by_subject.get(subject, ())

    def ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        """Every approved CA certificate of an instance, tops and intermediates."""
        found = self.instances.get(instance)
        return () if found is None else tuple(c for _, _, c in found.ca_infos)

    def signing_ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        """The approved CA certificates of an instance whose CA is not approved for authentication only."""
        found = self.instances.get(instance)
        return () if found is None else tuple(c for ca, _, c in found.ca_infos if not ca.authentication_only)

    def all_ca_certificates(self) -> tuple[x509.Certificate, ...]:
        """Every approved CA certificate of all instances at hand, each once."""
        return tuple(dict.fromkeys(c for i in self.instances for c in self.ca_certificates(i)))

    def profile_of(self, certificate: x509.Certificate, instance: str) -> str:
        """The certificate profile of the approved CA that issued a certificate. Raises `NotProved`."""
        entries = self.approved_ca_entries(certificate.issuer, instance)
        if not entries:
            raise NotProved(
                Kind.CANNOT_CREATE_CERT_PATH,
                f"no approved CA of instance {instance} has the name {name_text(certificate.issuer)!r}",
            )
        return entries[0][0].profile

    def member_of_signing_certificate(self, certificate: x509.Certificate, instance: str) -> ClientId:
        """The member a signing certificate was issued to, read by its CA's profile. Raises `NotProved`."""
        profile = self.profile_of(certificate, instance)
        return self.profiles.member_of_certificate(profile, certificate, instance)

    def ocsp_infos(self, issuer: x509.Certificate) -> tuple[OcspInfo, ...]:
        """The responders configured for an issuing CA certificate, in any instance at hand."""
        return tuple(
            info
            for instance in self.instances
            for _, ca, certificate in self.approved_ca_entries(issuer.subject, instance)
            if certificate == issuer
            for info in ca.ocsp
        )

    def configured_responders_for(self, issuer: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """The OCSP responder certificates configured for an issuing CA certificate."""
        return tuple(parse_certificate(i.certificate) for i in self.ocsp_infos(issuer) if i.certificate)

    @cached_property
    def _ocsp_responders(self) -> tuple[x509.Certificate, ...]:
        return tuple(
            dict.fromkeys(
                parse_certificate(ocsp.certificate)
                for loaded in self.instances.values()
                for _, info, _ in loaded.ca_infos
                for ocsp in info.ocsp
                if ocsp.certificate
            )
        )

    def ocsp_responder_certificates(self) -> tuple[x509.Certificate, ...]:
        """Every configured OCSP responder certificate of all instances at hand."""
        return self._ocsp_responders

    @cached_property
    def _tsa_certificates(self) -> tuple[x509.Certificate, ...]:
        return tuple(
            dict.fromkeys(
                parse_certificate(t.certificate)
                for loaded in self.instances.values()
                for t in loaded.shared.approved_tsas
            )
        )

    def tsa_certificates(self) -> tuple[x509.Certificate, ...]:
        """The certificates of every approved timestamping authority of all instances at hand."""
        return self._tsa_certificates

    @property
    def approved_tsas(self) -> tuple[ApprovedTsa, ...]:
        """The timestamping authorities of the own instance."""
        return self.own.shared.approved_tsas

    # Settings, always of the own instance

    @property
    def ocsp_freshness_s(self) -> int:
        """The greatest age of an OCSP response's thisUpdate, in seconds."""
        return self.own.shared.ocsp_freshness_s

    @cached_property
    def verify_next_update(self) -> bool:
        """Whether an OCSP response's nextUpdate counts."""
        raw = self.parts.get(optional_parts.NEXT_UPDATE_ID)
        return True if raw is None else optional_parts.parse_verify_next_update(raw)

    @cached_property
    def ocsp_fetch_interval_s(self) -> int:
        """Seconds between two fetches of an OCSP response."""
        raw = self.parts.get(optional_parts.FETCH_INTERVAL_ID)
        if raw is None:
            return optional_parts.DEFAULT_FETCH_INTERVAL_S
        return optional_parts.parse_fetch_interval(raw)

    @cached_property
    def monitoring_client(self) -> ClientId | None:
        """The central monitoring client, if one is named."""
        raw = self.parts.get(optional_parts.MONITORING_ID)
        return None if raw is None else optional_parts.parse_monitoring_client(raw)

    @property
    def timestamping_interval_s(self) -> int:
        """Seconds between two rounds of timestamping."""
        return 60 if self.private is None else self.private.timestamping_interval_s


def _load_instance(
    folder: str, files: Mapping[str, bytes], known: Sequence[SharedParameters]
) -> InstanceConfiguration | None:
    shared_name = f"{folder}/{FILE_NAMES[SHARED_ID]}"
    if shared_name not in files:
        return None
    shared_metadata = _metadata(files.get(f"{shared_name}.metadata"))
    raw, version = files[shared_name], shared_metadata[0]
    same = (s for s in known if s.version == version and s.raw == raw)
    shared = next(same, None) or parse_shared(raw, version)
    for certificate in _ca_bytes(shared):
        parse_certificate(certificate)
    private_name = f"{folder}/{FILE_NAMES[PRIVATE_ID]}"
    if private_name not in files:
        return InstanceConfiguration(shared, shared_metadata[1])
    private_metadata = _metadata(files.get(f"{private_name}.metadata"))
    return InstanceConfiguration(
        shared, min(shared_metadata[1], private_metadata[1]), parse_private(files[private_name])
    )


def _ca_bytes(shared: SharedParameters) -> Iterable[bytes]:
    for ca in shared.approved_cas:
        yield ca.top.certificate
        yield from (i.certificate for i in ca.intermediates)


def _metadata(raw: bytes | None) -> tuple[int, datetime]:
    """Version and expiry of a part. Without metadata: the newest version, and it never expires."""
    if raw is None:
        return CURRENT_VERSION, _FOR_EVER
    try:
        values = load_json(raw)
        expires = values.get("expirationDate")
        version = int(values.get("configurationVersion") or 2)
        return version, _FOR_EVER if expires is None else datetime.fromisoformat(expires)
    except (ValueError, OverflowError, AttributeError, TypeError) as err:
        raise Fault(
            Kind.MALFORMED_GLOBAL_CONF, f"the metadata of a configuration part cannot be read: {err}"
        ) from err
