"""What each field of an operation means, and what each group of operations is about, for pages and documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving.language import N_

if TYPE_CHECKING:
    from serving.language import Text

TAG_TEXTS: Final[dict[str, Text]] = {
    "access-requests": N_("Requests for access"),
    "api-keys": N_("Keys of programs"),
    "backups": N_("Backups"),
    "certificate-authorities": N_("Certificate authorities"),
    "clients": N_("Clients of this server"),
    "diagnostics": N_("Diagnosis"),
    "endpoints": N_("Endpoints of services"),
    "initialization": N_("Beginning"),
    "keys": N_("Keys and signing requests"),
    "local-groups": N_("Local groups"),
    "mail": N_("Mail"),
    "member-classes": N_("Member classes"),
    "message-log": N_("Messages"),
    "member-names": N_("Names of members"),
    "notifications": N_("Notices"),
    "openapi": N_("Description of the API"),
    "security-servers": N_("Security servers"),
    "service-descriptions": N_("Descriptions of services"),
    "services": N_("Services and access rights"),
    "settings": N_("Settings"),
    "system": N_("This server"),
    "timestamping-services": N_("Timestamping authorities"),
    "token-certificates": N_("Certificates"),
    "tokens": N_("Tokens"),
    "user": N_("My account"),
    "users": N_("Users"),
    "xroad-instances": N_("Instances"),
    "certification-services": N_("Approved certificate authorities"),
    "certification-services-ocsp-responders": N_("OCSP responders"),
    "global-groups": N_("Global groups"),
    "management-requests": N_("Management requests"),
    "management-services": N_("Management services"),
    "members": N_("Members"),
    "subsystems": N_("Subsystems"),
    "signing-keys": N_("Signing keys of the configuration"),
    "trusted-anchors": N_("Trusted anchors"),
    "catalogue": N_("Service catalogue"),
    "configuration-sources": N_("Sources of the configuration"),
    "configuration-parts": N_("Parts of the configuration"),
}

_TEXTS: Final[dict[str, Text]] = {
    "about": N_("Words of what was changed: an identifier, an address, a reason."),
    "event": N_("The kind of act, as the audit trail names it."),
    "who": N_("A name, or a part of it."),
    "acme_order": N_("Whether a certificate is ordered by ACME at once."),
    "address": N_("A host name or an IP address, without port."),
    "ca_name": N_("The certificate authority as the global configuration names it."),
    "client_id": N_("The client as INSTANCE:CLASS:MEMBER:SUBSYSTEM."),
    "code": N_("The code under which it is known; letters, digits, dots, hyphens and underscores are safe."),
    "connection_type": N_(
        "How systems of the client connect: HTTP, HTTPS with their certificate, or HTTPS without one (HTTPS_NO_AUTH)."
    ),
    "cost_type": N_("Whether the service costs: FREE, PAID or UNDEFINED."),
    "csr_format": N_("How a signing request is written: PEM (text) or DER."),
    "csr_id": N_("The number of the signing request."),
    "description": N_("A few words for people."),
    "disabled_notice": N_("What consumers are told while the services are off."),
    "exclude_local": N_("Whether clients of this server are left out."),
    "expires_in_days": N_("After how many days the key ends."),
    "file": N_("A file from this computer."),
    "generated": N_("Whether it came with a description; set by the server."),
    "group_id": N_("The number of the group."),
    "hash": N_("The certificate's digest in hexadecimal digits, as lists show it."),
    "id": N_("The identifier or number, as lists show it."),
    "identity": N_("The age identity that opens the backup, AGE-SECRET-KEY-1…"),
    "ignore_warnings": N_("Yes, when the warnings have been read and are accepted."),
    "instance": N_("The instance, as MX."),
    "internal_search": N_("Whether only clients of this server are searched."),
    "interval": N_("The length of an interval in minutes."),
    "items": N_("The identifiers of what is added or taken away."),
    "key_id": N_("The key's identifier, as lists show it."),
    "key_label": N_("A name for the key, for people."),
    "key_usage_type": N_("AUTHENTICATION for connections between servers, SIGNING for messages."),
    "label": N_("A name for people."),
    "local_valid_sign_cert": N_("Whether only clients with a valid signing certificate here are searched."),
    "mail_address": N_("A mail address."),
    "member_class": N_("The member's class, as GOB."),
    "member_code": N_("The member's code within its class."),
    "member_id": N_("The member as INSTANCE:CLASS:MEMBER."),
    "method": N_("The HTTP method, or * for every one."),
    "name": N_("The name, as lists show it."),
    "new_password": N_("At least 6 characters, at most 255; long ones of several words are best."),
    "scope": N_("Identifiers as INSTANCE:CLASS:MEMBER:SUBSYSTEM; empty is every client."),
    "new_pin": N_("The new PIN."),
    "old_pin": N_("The PIN that holds now."),
    "owner_member_class": N_("The class of the member that owns this server."),
    "owner_member_code": N_("The code of the member that owns this server."),
    "passphrase": N_("The passphrase of the backup."),
    "password": N_("The PIN of the token."),
    "path": N_("The path of the endpoint: * stands for one segment, ** for any rest."),
    "protocol_type": N_("REST or SOAP."),
    "records_from": N_("The beginning of the time, as 2027-01-01T00:00:00Z."),
    "records_to": N_("The end of the time, as 2027-01-31T00:00:00Z."),
    "reason": N_("The file, order or complaint it is for; the audit log keeps it."),
    "digests_only": N_("Yes: proof of who, when and of the digests, without what was said."),
    "rest_service_code": N_("The code under which consumers call the service."),
    "new_rest_service_code": N_("The new code under which consumers call the service."),
    "security_server_code": N_("The code of the security server within its owner."),
    "security_server_id": N_("The security server as INSTANCE:CLASS:MEMBER:CODE."),
    "service_code": N_("The code of the service."),
    "provider": N_("The provider as INSTANCE:CLASS:MEMBER:SUBSYSTEM."),
    "purpose": N_("What the data is needed for."),
    "legal_basis": N_("The law and article that allows it."),
    "contact": N_("A mail address or a telephone that the provider may answer to."),
    "service_id": N_("The service as INSTANCE:CLASS:MEMBER:SUBSYSTEM:CODE."),
    "show_members": N_("Whether members themselves are listed beside their subsystems."),
    "signer": N_("The digest of the key that must have signed the backup, SHA256:…"),
    "software_token_pin": N_("The PIN for the token in files; it is asked for at each start."),
    "ssl_auth": N_("Whether the certificate of the providing system is checked."),
    "ssl_auth_all": N_("Whether this holds for every service of the description."),
    "subject_field_values": N_("The fields of the certificate's subject, as the CA's profile asks for them."),
    "subsystem_code": N_("The code of the subsystem within its member."),
    "subsystem_name": N_("The name of the subsystem, for people."),
    "timeout": N_("After how many seconds of silence a call is given up."),
    "timeout_all": N_("Whether this holds for every service of the description."),
    "type": N_("What it is."),
    "url": N_("The address, beginning with http:// or https://."),
    "url_all": N_("Whether this holds for every service of the description."),
    "value": N_("The value; its unit and bounds are in the list of settings."),
    "q": N_("What is searched for."),
    "limit": N_("How many are shown at once."),
    "offset": N_("How many are passed over."),
    "sort": N_("By what the list is sorted."),
    "comments": N_("Why; whoever asked is told."),
    "central_server_address": N_(
        "The name under which this central server is reached, as central.example; with the port, as central.example:8080, where its configuration is not given out at port 80."
    ),
    "instance_identifier": N_("The code of the instance, as MX."),
    "acme_server_directory_url": N_(
        "The address of the authority's ACME directory, as https://ca.example/acme/directory; the authority gives it. Empty: no certificate is ordered by ACME."
    ),
    "acme_server_ip_address": N_(
        "The IP addresses of the authority's ACME server, as 192.0.2.10, with commas between several; so that servers can let them through their firewalls."
    ),
    "anchor": N_(
        "The anchor: the XML file that says where a configuration is fetched and whose signature it bears. The operator of its central server gives it, and its digest by another way."
    ),
    "authentication_certificate": N_(
        "The certificate by which other servers will know this server, in base64; its operator has it on the page of keys."
    ),
    "authentication_certificate_profile_id": N_(
        "The profile by which the ACME server issues certificates for connections, as the authority names it; empty where it has only one."
    ),
    "signing_certificate_profile_id": N_(
        "The profile by which the ACME server issues certificates that sign messages, as the authority names it; empty where it has only one."
    ),
    "body": N_(
        "A file from this computer as you were given it, such as a certificate or an anchor; or the values that the page lists."
    ),
    "certificate": N_("A certificate as its owner or its authority gives it, PEM (text) or DER."),
    "certificate_profile_info": N_(
        "Which fields the subjects of its certificates have: the profile's name, as BasicCertificateProfileInfoProvider. The instance's rules name it."
    ),
    "codes": N_("Only members with these codes, one a line."),
    "subsystems": N_("Only subsystems with these codes, one a line."),
    "types": N_("Only these kinds, one a line, as MEMBER or SUBSYSTEM."),
    "configuration_type": N_(
        "INTERNAL for the servers of this instance, EXTERNAL for instances that are federated with it."
    ),
    "content_identifier": N_(
        "What the part is for, as MONITORING; the list of parts shows those that there are."
    ),
    "filename": N_("The file's name, as the list of backups shows it."),
    "group_code": N_("The group's code, as the list of groups shows it."),
    "mail": N_(
        "The mail address that is written to when something is decided, as servicios@example.mx; empty: none is."
    ),
    "member_name": N_("The organisation's full name, as its law or its deed has it."),
    "message": N_("A sentence for those whom it concerns, as why there is maintenance and until when."),
    "message_id": N_(
        "The identifier that the calling system gave the message; its log and the page of messages have it."
    ),
    "number": N_("The number, as lists show it."),
    "old_password": N_("The password that holds now."),
    "desc": N_("Yes: what is last comes first."),
    "side": N_(
        "This server's part in an exchange: consumer where its client called, provider where its service answered."
    ),
    "origin": N_(
        "SECURITY_SERVER where a server asked for it, CENTER where it was made at the central server."
    ),
    "subsystem_id": N_("The subsystem as INSTANCE:CLASS:MEMBER:SUBSYSTEM."),
    "sc_id": N_(
        "Who may call, a subsystem as INSTANCE:CLASS:MEMBER:SUBSYSTEM or a group, as the list of those who may call shows it."
    ),
    "tls_auth": N_("Yes: its certificates count for connections between servers alone, not for signatures."),
    "unreachable": N_("Yes: only services whose server could not be reached."),
    "validate_instance": N_("Yes: an anchor of another instance is refused."),
    "webhook": N_(
        "The address of a system that is called when something is decided, as https://example.mx/notices; empty: none is."
    ),
}

# Fields that say the same as another: it stands behind each.
_SAME: Final = {
    "certificate_id": "id",
    "certification_service_id": "id",
    "intermediate_ca_id": "id",
    "management_request_id": "id",
    "ocsp_responder_id": "id",
    "sign_key_id": "id",
    "timestamping_service_id": "id",
    "token_id": "id",
    "client": "client_id",
    "consumer_id": "client_id",
    "client_name": "subsystem_name",
    "default_csr_format": "csr_format",
    "query": "q",
    "server_address": "address",
    "server_id": "security_server_id",
    "security_server": "security_server_id",
    "service": "service_id",
    "service_provider_id": "provider",
    "since": "records_from",
    "until": "records_to",
    "version": "number",
}
FIELD_TEXTS: Final[dict[str, Text]] = _TEXTS | {term: _TEXTS[other] for term, other in _SAME.items()}
