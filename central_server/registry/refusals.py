"""The codes with which the registry refuses, each with the HTTP status of its answer (`serving.errors.Refused`).

The codes are those of X-Road's central server, so that its clients understand them; the few of our own come last in a group.
"""

from __future__ import annotations

from serving.errors import RefusalCode, Refused


class RegistryCode(RefusalCode):
    """Every refusal of the central server's rules: the code on the wire, and its status."""

    # what was asked is wrong in itself
    INVALID_MEMBER_ID = "invalid_member_id", 400
    INVALID_SUBSYSTEM_ID = "invalid_subsystem_id", 400
    INVALID_SERVICE_PROVIDER_ID = "invalid_service_provider_id", 400
    INVALID_SECURITY_SERVER_ID = "invalid_security_server_id", 400
    OWNERS_GLOBAL_GROUP_CANNOT_BE_DELETED = "owners_global_group_cannot_be_deleted", 400
    OWNERS_GLOBAL_GROUP_MEMBER_CANNOT_BE_DELETED = "owners_global_group_member_cannot_be_deleted", 400
    CANNOT_ADD_MEMBER_TO_OWNERS_GROUP = "cannot_add_member_to_owners_group", 400
    SUBSYSTEM_REGISTERED_AND_CANNOT_BE_DELETED = "subsystem_registered_and_cannot_be_deleted", 400
    MANAGEMENT_SERVICE_PROVIDER_NOT_SET = "management_service_provider_not_set", 400
    SUBSYSTEM_ALREADY_REGISTERED_TO_SECURITY_SERVER = "subsystem_already_registered_to_security_server", 400
    CERTIFICATE_PROFILE_INFO_CLASS_NOT_FOUND = "certificate_profile_info_class_not_found", 400
    INVALID_URL = "invalid_url", 400
    INVALID_IP_ADDRESS = "invalid_ip_address", 400
    SIGNING_KEY_ACTION_NOT_POSSIBLE = "signing_key_action_not_possible", 400
    TOKEN_ACTION_NOT_POSSIBLE = "token_action_not_possible", 400
    MALFORMED_ANCHOR = "malformed_anchor", 400
    TRUSTED_ANCHOR_VERIFICATION_FAILED = "trusted_anchor_verification_failed", 400
    CONFIGURATION_PART_VALIDATION_FAILED = "configuration_part_validation_failed", 400
    MANAGEMENT_REQUEST_INVALID_AUTH_CERTIFICATE = "management_request_invalid_auth_certificate", 400
    MANAGEMENT_REQUEST_INVALID_STATE = "management_request_invalid_state", 400
    MANAGEMENT_REQUEST_INVALID_STATE_FOR_APPROVAL = "management_request_invalid_state_for_approval", 400
    MANAGEMENT_REQUEST_CANNOT_REGISTER_OWNER = "management_request_cannot_register_owner", 400
    MANAGEMENT_REQUEST_OWNER_MUST_BE_MEMBER = "management_request_owner_must_be_member", 400
    MANAGEMENT_REQUEST_OWNER_MUST_BE_CLIENT = "management_request_owner_must_be_client", 400
    MANAGEMENT_REQUEST_CLIENT_ALREADY_OWNER = "management_request_client_already_owner", 400
    MANAGEMENT_REQUEST_INVALID_SERVER_ADDRESS = "management_request_invalid_server_address", 400
    MANAGEMENT_REQUEST_INVALID_SUBSYSTEM_NAME = "management_request_invalid_subsystem_name", 400
    MANAGEMENT_REQUEST_ONLY_SUBSYSTEM_RENAME_ALLOWED = "management_request_only_subsystem_rename_allowed", 400
    MANAGEMENT_REQUEST_UNKNOWN_TYPE = "management_request_unknown_type", 400
    MANAGEMENT_REQUEST_MISSING_FIELD = "management_request_missing_field", 400
    # what is named is not there
    MEMBER_NOT_FOUND = "member_not_found", 404
    MEMBER_CLASS_NOT_FOUND = "member_class_not_found", 404
    SUBSYSTEM_NOT_FOUND = "subsystem_not_found", 404
    SECURITY_SERVER_NOT_FOUND = "security_server_not_found", 404
    MEMBER_NOT_REGISTERED_TO_SECURITY_SERVER = "member_not_registered_to_security_server", 404
    SUBSYSTEM_NOT_REGISTERED_TO_SECURITY_SERVER = "subsystem_not_registered_to_security_server", 404
    SS_AUTH_CERTIFICATE_NOT_FOUND = "ss_auth_certificate_not_found", 404
    GLOBAL_GROUP_NOT_FOUND = "global_group_not_found", 404
    CERTIFICATION_SERVICE_NOT_FOUND = "certification_service_not_found", 404
    INTERMEDIATE_CA_NOT_FOUND = "intermediate_ca_not_found", 404
    OCSP_RESPONDER_NOT_FOUND = "ocsp_responder_not_found", 404
    TIMESTAMPING_AUTHORITY_NOT_FOUND = "timestamping_authority_not_found", 404
    TRUSTED_ANCHOR_NOT_FOUND = "trusted_anchor_not_found", 404
    SIGNING_KEY_NOT_FOUND = "signing_key_not_found", 404
    TOKEN_NOT_FOUND = "token_not_found", 404
    CONFIGURATION_NOT_FOUND = "configuration_not_found", 404
    CONFIGURATION_PART_FILE_NOT_FOUND = "configuration_part_file_not_found", 404
    MANAGEMENT_REQUEST_NOT_FOUND = "management_request_not_found", 404
    MANAGEMENT_REQUEST_CLIENT_REGISTRATION_NOT_FOUND = "management_request_client_registration_not_found", 404
    MANAGEMENT_REQUEST_SERVER_NOT_FOUND = "management_request_server_not_found", 404
    MANAGEMENT_REQUEST_MEMBER_NOT_FOUND = "management_request_member_not_found", 404
    MANAGEMENT_REQUEST_SERVER_OWNER_NOT_FOUND = "management_request_server_owner_not_found", 404
    SERVICE_NOT_FOUND = "service_not_found", 404
    # what is there already does not let it be
    MEMBER_CLASS_EXISTS = "member_class_exists", 409
    MEMBER_CLASS_IS_IN_USE = "member_class_is_in_use", 409
    MEMBER_EXISTS = "member_exists", 409
    SUBSYSTEM_EXISTS = "subsystem_exists", 409
    GLOBAL_GROUP_EXISTS = "global_group_exists", 409
    GLOBAL_GROUP_MEMBER_EXISTS = "global_group_member_exists", 409
    CERTIFICATION_SERVICE_EXISTS = "certification_service_exists", 409
    TRUSTED_ANCHOR_OF_OWN_INSTANCE = "trusted_anchor_of_own_instance", 409
    INIT_ALREADY_INITIALIZED = "init_already_initialized", 409
    MANAGEMENT_REQUEST_EXISTS = "management_request_exists", 409
    MANAGEMENT_REQUEST_SECURITY_SERVER_EXISTS = "management_request_security_server_exists", 409
    MANAGEMENT_REQUEST_SERVER_CODE_EXISTS = "management_request_server_code_exists", 409
    MANAGEMENT_REQUEST_CLIENT_ALREADY_REGISTERED = "management_request_client_already_registered", 409
    MANAGEMENT_REQUEST_NOT_SUPPORTED = "management_request_not_supported", 409
    MANAGEMENT_REQUEST_SERVER_CLIENT_NOT_FOUND = "management_request_server_client_not_found", 409
    MANAGEMENT_REQUEST_SERVER_ALREADY_IN_MAINTENANCE_MODE = (
        "management_request_server_already_in_maintenance_mode",
        409,
    )
    MANAGEMENT_REQUEST_SERVER_NOT_IN_MAINTENANCE_MODE = (
        "management_request_server_not_in_maintenance_mode",
        409,
    )
    MR_FORBIDDEN_DISABLE_MANAGEMENT_SERVICE_CLIENT = "mr_forbidden_disable_management_service_client", 409
    MR_FORBIDDEN_ENABLE_MAINTENANCE_MODE_FOR_MANAGEMENT_SERVICE = (
        "mr_forbidden_enable_maintenance_mode_for_management_service",
        409,
    )
    MANAGEMENT_REQUEST_REPLAYED = "management_request_replayed", 409
    MANAGEMENT_REQUEST_NEEDS_ANOTHER_APPROVER = "management_request_needs_another_approver", 409
    SERVER_NOT_INITIALIZED = "server_not_initialized", 409
    # the central server itself lacks what it takes
    NO_CONFIGURATION_SIGNING_KEYS_CONFIGURED = "no_configuration_signing_keys_configured", 500
    INSTANCE_IDENTIFIER_NOT_SET = "instance_identifier_not_set", 500
    UNKNOWN_CONFIGURATION_PART = "unknown_configuration_part", 500


def refuse(code: RegistryCode, *metadata: object) -> Refused:
    """The refusal with a code and the API's details in order; its text is the code with the details."""
    details = tuple(str(m) for m in metadata)
    return Refused(code, " ".join((code, *details)), *details)
