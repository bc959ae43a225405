"""What the registry refuses: a stable code, the HTTP status that belongs to it, and details in order.

The codes are those of X-Road's central server, so that its clients understand them; the few of our own come last.
"""

from __future__ import annotations

from dataclasses import dataclass

_BAD = (
    "invalid_member_id",
    "invalid_subsystem_id",
    "invalid_service_provider_id",
    "invalid_security_server_id",
    "owners_global_group_cannot_be_deleted",
    "owners_global_group_member_cannot_be_deleted",
    "cannot_add_member_to_owners_group",
    "subsystem_registered_and_cannot_be_deleted",
    "management_service_provider_not_set",
    "subsystem_already_registered_to_security_server",
    "certificate_profile_info_class_not_found",
    "invalid_certificate",
    "invalid_url",
    "invalid_ip_address",
    "signing_key_action_not_possible",
    "token_action_not_possible",
    "malformed_anchor",
    "trusted_anchor_verification_failed",
    "configuration_part_validation_failed",
    "configuration_part_validator_not_found",
    "management_request_invalid_auth_certificate",
    "management_request_invalid_state",
    "management_request_invalid_state_for_approval",
    "management_request_cannot_register_owner",
    "management_request_owner_must_be_member",
    "management_request_owner_must_be_client",
    "management_request_client_already_owner",
    "management_request_invalid_server_address",
    "management_request_invalid_subsystem_name",
    "management_request_only_subsystem_rename_allowed",
    "management_request_unknown_type",
    "management_request_missing_field",
)
_NOT_FOUND = (
    "member_not_found",
    "member_class_not_found",
    "subsystem_not_found",
    "security_server_not_found",
    "member_not_registered_to_security_server",
    "subsystem_not_registered_to_security_server",
    "ss_auth_certificate_not_found",
    "global_group_not_found",
    "certification_service_not_found",
    "intermediate_ca_not_found",
    "ocsp_responder_not_found",
    "timestamping_authority_not_found",
    "trusted_anchor_not_found",
    "signing_key_not_found",
    "token_not_found",
    "configuration_not_found",
    "configuration_part_file_not_found",
    "management_request_not_found",
    "management_request_client_registration_not_found",
    "management_request_server_not_found",
    "management_request_member_not_found",
    "management_request_server_owner_not_found",
    "service_not_found",
)
_CONFLICT = (
    "member_class_exists",
    "member_class_is_in_use",
    "member_exists",
    "member_has_servers",
    "subsystem_exists",
    "global_group_exists",
    "global_group_member_exists",
    "certification_service_exists",
    "trusted_anchor_of_own_instance",
    "init_already_initialized",
    "init_software_token_failed",
    "management_request_exists",
    "management_request_security_server_exists",
    "management_request_server_code_exists",
    "management_request_client_already_registered",
    "management_request_not_supported",
    "management_request_server_client_not_found",
    "management_request_server_already_in_maintenance_mode",
    "management_request_server_not_in_maintenance_mode",
    "mr_forbidden_disable_management_service_client",
    "mr_forbidden_enable_maintenance_mode_for_management_service",
    "management_request_replayed",
    "management_request_needs_another_approver",
    "server_not_initialized",
)
_FAILED = (
    "no_configuration_signing_keys_configured",
    "instance_identifier_not_set",
    "unknown_configuration_part",
    "key_generation_failed",
)
STATUS = {
    **dict.fromkeys(_BAD, 400),
    **dict.fromkeys(_NOT_FOUND, 404),
    **dict.fromkeys(_CONFLICT, 409),
    **dict.fromkeys(_FAILED, 500),
}


@dataclass(eq=False)
class RegistryRefused(ValueError):  # noqa: N818  the registry's no, with its reason
    """The registry does not do this; nothing has changed."""

    code: str
    metadata: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """The HTTP status that belongs to the code."""
        return STATUS[self.code]

    def __str__(self) -> str:
        return " ".join((self.code, *self.metadata))


def refuse(code: str, *metadata: object) -> RegistryRefused:
    """The refusal with a code of the table."""
    if code not in STATUS:
        raise KeyError(f"{code!r} is no code of the table in central_server/registry/refusals.py")
    return RegistryRefused(code, tuple(str(m) for m in metadata))
