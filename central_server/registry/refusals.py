"""The codes with which the registry refuses, with the HTTP status of the answer and words for a person (`serving.errors.Refused`).

The codes are those of X-Road's central server, so that its clients understand them; the few of our own come last in a group.
"""

from __future__ import annotations

from serving.errors import RefusalCode, Refused
from serving.language import N_, SOURCE_LANGUAGE, Text


class RegistryCode(RefusalCode):
    """Every refusal of the central server's rules: the code on the wire, its status, and its words for a person."""

    # what was asked is wrong in itself
    INVALID_MEMBER_ID = "invalid_member_id", 400, N_("expected a member's identifier, INSTANCE:CLASS:CODE")
    INVALID_SUBSYSTEM_ID = (
        "invalid_subsystem_id",
        400,
        N_("expected a subsystem's identifier, INSTANCE:CLASS:CODE:SUBSYSTEM"),
    )
    INVALID_SERVICE_PROVIDER_ID = (
        "invalid_service_provider_id",
        400,
        N_("expected the identifier of a subsystem that provides the management services"),
    )
    INVALID_SECURITY_SERVER_ID = (
        "invalid_security_server_id",
        400,
        N_("expected a security server's identifier, INSTANCE:CLASS:CODE:SERVER"),
    )
    OWNERS_GLOBAL_GROUP_CANNOT_BE_DELETED = (
        "owners_global_group_cannot_be_deleted",
        400,
        N_("the group of the security servers' owners is kept by this server and cannot be deleted"),
    )
    OWNERS_GLOBAL_GROUP_MEMBER_CANNOT_BE_DELETED = (
        "owners_global_group_member_cannot_be_deleted",
        400,
        N_(
            "who owns a security server stays in the owners' group; the registry takes it out with its last server"
        ),
    )
    CANNOT_ADD_MEMBER_TO_OWNERS_GROUP = (
        "cannot_add_member_to_owners_group",
        400,
        N_("the owners' group takes nobody by hand: it holds who owns a security server"),
    )
    SUBSYSTEM_REGISTERED_AND_CANNOT_BE_DELETED = (
        "subsystem_registered_and_cannot_be_deleted",
        400,
        N_("the subsystem is registered at a security server; take it off there first"),
    )
    MANAGEMENT_SERVICE_PROVIDER_NOT_SET = (
        "management_service_provider_not_set",
        400,
        N_("nobody was named who provides the management services"),
    )
    SUBSYSTEM_ALREADY_REGISTERED_TO_SECURITY_SERVER = (
        "subsystem_already_registered_to_security_server",
        400,
        N_("the subsystem is registered at a security server already"),
    )
    CERTIFICATE_PROFILE_INFO_CLASS_NOT_FOUND = (
        "certificate_profile_info_class_not_found",
        400,
        N_("there is no such certificate profile"),
    )
    INVALID_URL = "invalid_url", 400, N_("expected an address that begins with http:// or https://")
    INVALID_IP_ADDRESS = "invalid_ip_address", 400, N_("expected an IP address")
    SIGNING_KEY_ACTION_NOT_POSSIBLE = (
        "signing_key_action_not_possible",
        400,
        N_("the signing key cannot be used now"),
    )
    TOKEN_ACTION_NOT_POSSIBLE = "token_action_not_possible", 400, N_("the token cannot do that now")
    MALFORMED_ANCHOR = "malformed_anchor", 400, N_("the file is no configuration anchor")
    TRUSTED_ANCHOR_VERIFICATION_FAILED = (
        "trusted_anchor_verification_failed",
        400,
        N_("the configuration that the anchor leads to is not proved"),
    )
    CONFIGURATION_PART_VALIDATION_FAILED = (
        "configuration_part_validation_failed",
        400,
        N_("the configuration part is not as it must be"),
    )
    MANAGEMENT_REQUEST_INVALID_AUTH_CERTIFICATE = (
        "management_request_invalid_auth_certificate",
        400,
        N_("expected an authentication certificate that is valid now, of an approved authority"),
    )
    MANAGEMENT_REQUEST_INVALID_STATE = (
        "management_request_invalid_state",
        400,
        N_("the management request has ended, or waits for something else"),
    )
    MANAGEMENT_REQUEST_INVALID_STATE_FOR_APPROVAL = (
        "management_request_invalid_state_for_approval",
        400,
        N_("the management request does not wait for approval"),
    )
    MANAGEMENT_REQUEST_CANNOT_REGISTER_OWNER = (
        "management_request_cannot_register_owner",
        400,
        N_("the owner of a security server is its client anyway and is not registered"),
    )
    MANAGEMENT_REQUEST_OWNER_MUST_BE_MEMBER = (
        "management_request_owner_must_be_member",
        400,
        N_("the new owner must be a member, not a subsystem"),
    )
    MANAGEMENT_REQUEST_OWNER_MUST_BE_CLIENT = (
        "management_request_owner_must_be_client",
        400,
        N_("the new owner must be a client of the security server already"),
    )
    MANAGEMENT_REQUEST_CLIENT_ALREADY_OWNER = (
        "management_request_client_already_owner",
        400,
        N_("that member owns the security server already"),
    )
    MANAGEMENT_REQUEST_INVALID_SERVER_ADDRESS = (
        "management_request_invalid_server_address",
        400,
        N_("expected the security server's name or IP address"),
    )
    MANAGEMENT_REQUEST_INVALID_SUBSYSTEM_NAME = (
        "management_request_invalid_subsystem_name",
        400,
        N_("the subsystem's name is none that may be kept"),
    )
    MANAGEMENT_REQUEST_ONLY_SUBSYSTEM_RENAME_ALLOWED = (
        "management_request_only_subsystem_rename_allowed",
        400,
        N_("only a subsystem is renamed by request"),
    )
    MANAGEMENT_REQUEST_UNKNOWN_TYPE = (
        "management_request_unknown_type",
        400,
        N_("there is no such kind of management request"),
    )
    MANAGEMENT_REQUEST_MISSING_FIELD = (
        "management_request_missing_field",
        400,
        N_("the management request lacks a field"),
    )
    # what is named is not there
    MEMBER_NOT_FOUND = "member_not_found", 404, N_("there is no such member")
    MEMBER_CLASS_NOT_FOUND = "member_class_not_found", 404, N_("there is no such member class")
    SUBSYSTEM_NOT_FOUND = "subsystem_not_found", 404, N_("there is no such subsystem")
    SECURITY_SERVER_NOT_FOUND = "security_server_not_found", 404, N_("there is no such security server")
    MEMBER_NOT_REGISTERED_TO_SECURITY_SERVER = (
        "member_not_registered_to_security_server",
        404,
        N_("the member is not registered at that security server"),
    )
    SUBSYSTEM_NOT_REGISTERED_TO_SECURITY_SERVER = (
        "subsystem_not_registered_to_security_server",
        404,
        N_("the subsystem is not registered at that security server"),
    )
    SS_AUTH_CERTIFICATE_NOT_FOUND = (
        "ss_auth_certificate_not_found",
        404,
        N_("the security server has no such authentication certificate"),
    )
    GLOBAL_GROUP_NOT_FOUND = "global_group_not_found", 404, N_("there is no such global group")
    CERTIFICATION_SERVICE_NOT_FOUND = (
        "certification_service_not_found",
        404,
        N_("there is no such certification authority"),
    )
    INTERMEDIATE_CA_NOT_FOUND = (
        "intermediate_ca_not_found",
        404,
        N_("there is no such intermediate authority"),
    )
    OCSP_RESPONDER_NOT_FOUND = "ocsp_responder_not_found", 404, N_("there is no such OCSP responder")
    TIMESTAMPING_AUTHORITY_NOT_FOUND = (
        "timestamping_authority_not_found",
        404,
        N_("there is no such timestamping authority"),
    )
    TRUSTED_ANCHOR_NOT_FOUND = (
        "trusted_anchor_not_found",
        404,
        N_("no trusted instance has an anchor with that hash"),
    )
    SIGNING_KEY_NOT_FOUND = "signing_key_not_found", 404, N_("the signing key is not there")
    TOKEN_NOT_FOUND = "token_not_found", 404, N_("there is no such token")
    CONFIGURATION_NOT_FOUND = "configuration_not_found", 404, N_("it has not been made yet")
    CONFIGURATION_PART_FILE_NOT_FOUND = (
        "configuration_part_file_not_found",
        404,
        N_("the configuration part has no file"),
    )
    MANAGEMENT_REQUEST_NOT_FOUND = (
        "management_request_not_found",
        404,
        N_("there is no such management request"),
    )
    MANAGEMENT_REQUEST_CLIENT_REGISTRATION_NOT_FOUND = (
        "management_request_client_registration_not_found",
        404,
        N_("no registration of that client is under way or in force"),
    )
    MANAGEMENT_REQUEST_SERVER_NOT_FOUND = (
        "management_request_server_not_found",
        404,
        N_("the security server of the request is not registered"),
    )
    MANAGEMENT_REQUEST_MEMBER_NOT_FOUND = (
        "management_request_member_not_found",
        404,
        N_("the member of the request is not in the registry"),
    )
    MANAGEMENT_REQUEST_SERVER_OWNER_NOT_FOUND = (
        "management_request_server_owner_not_found",
        404,
        N_("the owner of the security server is not in the registry"),
    )
    SERVICE_NOT_FOUND = "service_not_found", 404, N_("there is no such service")
    # what is there already does not let it be
    MEMBER_CLASS_EXISTS = "member_class_exists", 409, N_("there is such a member class already")
    MEMBER_CLASS_IS_IN_USE = (
        "member_class_is_in_use",
        409,
        N_("the member class has members; delete them first"),
    )
    MEMBER_EXISTS = "member_exists", 409, N_("there is such a member already")
    SUBSYSTEM_EXISTS = "subsystem_exists", 409, N_("there is such a subsystem already")
    GLOBAL_GROUP_EXISTS = "global_group_exists", 409, N_("there is such a global group already")
    GLOBAL_GROUP_MEMBER_EXISTS = "global_group_member_exists", 409, N_("it is in the global group already")
    CERTIFICATION_SERVICE_EXISTS = (
        "certification_service_exists",
        409,
        N_("there is such a certification authority already"),
    )
    TRUSTED_ANCHOR_OF_OWN_INSTANCE = (
        "trusted_anchor_of_own_instance",
        409,
        N_("the anchor is this instance's own; expected another instance's external anchor"),
    )
    INIT_ALREADY_INITIALIZED = "init_already_initialized", 409, N_("the central server is set up already")
    MANAGEMENT_REQUEST_EXISTS = (
        "management_request_exists",
        409,
        N_("a management request for the same waits already"),
    )
    MANAGEMENT_REQUEST_SECURITY_SERVER_EXISTS = (
        "management_request_security_server_exists",
        409,
        N_("a security server is registered with this certificate already"),
    )
    MANAGEMENT_REQUEST_SERVER_CODE_EXISTS = (
        "management_request_server_code_exists",
        409,
        N_("the owner has a security server with this code already"),
    )
    MANAGEMENT_REQUEST_CLIENT_ALREADY_REGISTERED = (
        "management_request_client_already_registered",
        409,
        N_("the client is registered at that security server already"),
    )
    MANAGEMENT_REQUEST_NOT_SUPPORTED = (
        "management_request_not_supported",
        409,
        N_("management requests of this kind are not made here"),
    )
    MANAGEMENT_REQUEST_SERVER_CLIENT_NOT_FOUND = (
        "management_request_server_client_not_found",
        409,
        N_("the client is not registered at that security server"),
    )
    MANAGEMENT_REQUEST_SERVER_ALREADY_IN_MAINTENANCE_MODE = (
        "management_request_server_already_in_maintenance_mode",
        409,
        N_("the security server is in maintenance already"),
    )
    MANAGEMENT_REQUEST_SERVER_NOT_IN_MAINTENANCE_MODE = (
        "management_request_server_not_in_maintenance_mode",
        409,
        N_("the security server is not in maintenance"),
    )
    MR_FORBIDDEN_DISABLE_MANAGEMENT_SERVICE_CLIENT = (
        "mr_forbidden_disable_management_service_client",
        409,
        N_("who provides the management services cannot be disabled"),
    )
    MR_FORBIDDEN_ENABLE_MAINTENANCE_MODE_FOR_MANAGEMENT_SERVICE = (
        "mr_forbidden_enable_maintenance_mode_for_management_service",
        409,
        N_("the security server of the management services cannot be in maintenance"),
    )
    MANAGEMENT_REQUEST_REPLAYED = (
        "management_request_replayed",
        409,
        N_("this message came before; nothing was done again"),
    )
    MANAGEMENT_REQUEST_NEEDS_ANOTHER_APPROVER = (
        "management_request_needs_another_approver",
        409,
        N_("two different people must approve; somebody else must do it now"),
    )
    SERVER_NOT_INITIALIZED = "server_not_initialized", 409, N_("the central server is not set up")
    # the central server itself lacks what it takes
    NO_CONFIGURATION_SIGNING_KEYS_CONFIGURED = (
        "no_configuration_signing_keys_configured",
        500,
        N_("no signing key is in use for the configuration"),
    )
    INSTANCE_IDENTIFIER_NOT_SET = "instance_identifier_not_set", 500, N_("the instance has no identifier yet")
    UNKNOWN_CONFIGURATION_PART = "unknown_configuration_part", 500, N_("there is no such configuration part")


def refuse(code: RegistryCode, *metadata: object, text: Text | None = None) -> Refused:
    """The refusal with a code and the API's details in order, which are what `str` gives; a person reads ``text``, or the code's words.

    A detail that is a sentence is a `Text`, English for the API.
    """
    details = tuple(m.into(SOURCE_LANGUAGE) if isinstance(m, Text) else str(m) for m in metadata)
    words = N_("{what}: {detail}", what=code.words, detail=metadata) if metadata else code.words
    return Refused(code, " ".join((code, *details)), *details, words=text or words)
