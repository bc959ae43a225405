"""The codes with which the gateway's rules refuse, each with the HTTP status of its answer (`serving.errors.Refused`).

A raiser names a member, so a mistyped code is a type error. The codes are those of X-Road's security server.
"""

from __future__ import annotations

from serving.errors import RefusalCode


class GatewayCode(RefusalCode):
    """Every refusal of the gateway's admin API: the code on the wire, and its status."""

    # what was asked is wrong in itself
    ACME_ACCOUNT_CREATION_FAILURE = "acme.account_creation_failure", 400
    ACME_ACCOUNT_KEY_PAIR_ERROR = "acme.account_key_pair_error", 400
    ACME_ACCOUNT_KEYSTORE_PASSWORD_MISSING = "acme.account_keystore_password_missing", 400
    ACME_AUTHORIZATION_WAIT_FAILURE = "acme.authorization_wait_failure", 400
    ACME_CHALLENGE_TRIGGER_FAILURE = "acme.challenge_trigger_failure", 400
    ACME_EAB_CREDENTIALS_MISSING = "acme.eab_credentials_missing", 400
    ACME_FETCHING_METADATA_ERROR = "acme.fetching_metadata_error", 400
    ACME_FETCHING_RENEWAL_INFO_FAILURE = "acme.fetching_renewal_info_failure", 400
    ACME_HTTP_CHALLENGE_MISSING = "acme.http_challenge_missing", 400
    ACME_ORDER_CREATION_FAILURE = "acme.order_creation_failure", 400
    ACME_ORDER_FINALIZATION_FAILURE = "acme.order_finalization_failure", 400
    ACCESS_REQUEST_DECIDED = "access_request_decided", 409
    ACCESS_REQUEST_NOT_ANSWERED = "access_request_not_answered", 409
    ACCESS_REQUEST_NOT_FOUND = "access_request_not_found", 404
    TOO_MANY_ACCESS_REQUESTS = "too_many_access_requests", 409
    DESCRIPTION_DOWNLOAD_FAILED = "description_download_failed", 400
    DESCRIPTION_TOO_LARGE = "description_too_large", 400
    ILLEGAL_GENERATED_ENDPOINT_REMOVE = "illegal_generated_endpoint_remove", 400
    ILLEGAL_GENERATED_ENDPOINT_UPDATE = "illegal_generated_endpoint_update", 400
    INVALID_CERTIFICATE = "invalid_certificate", 400
    INVALID_CHARACTERS_PIN = "invalid_characters_pin", 400
    INVALID_DISTINGUISHED_NAME = "invalid_distinguished_name", 400
    INVALID_DN_PARAMETER = "invalid_dn_parameter", 400
    INVALID_SERVICE_CODE = "invalid_service_code", 400
    INVALID_SERVICE_TITLE = "invalid_service_title", 400
    INVALID_SERVICE_URL = "invalid_service_url", 400
    INVALID_WSDL = "invalid_wsdl", 400
    INVALID_WSDL_SERVICE_IDENTIFIER = "invalid_wsdl_service_identifier", 400
    MALFORMED_URL = "malformed_url", 400
    MEMBER_ID_REQUIRED_FOR_SIGN_CSR = "memberId_required_for_sign_csr", 400
    MISSING_PARAMETER = "missing_parameter", 400
    OPENAPI_PARSING_ERROR = "openapi_parsing_error", 400
    PIN_INCORRECT = "pin_incorrect", 400
    TIMESTAMPING_SERVICE_NOT_FOUND = "timestamping_service_not_found", 400
    TOKEN_WEAK_PIN = "token_weak_pin", 400
    UNSUPPORTED_OPENAPI_VERSION = "unsupported_openapi_version", 400
    URL_NOT_ALLOWED = "url_not_allowed", 400
    VALIDATION_FAILURE = "validation_failure", 400
    VALIDATION_NOT_POSSIBLE = "validation_not_possible", 400
    WARNINGS_DETECTED = "warnings_detected", 400
    WRONG_KEY_USAGE = "wrong_key_usage", 400
    WRONG_SERVICEDESCRIPTION_TYPE = "wrong_servicedescription_type", 400
    WSDL_DOWNLOAD_FAILED = "wsdl_download_failed", 400
    WSDL_VALIDATOR_INTERRUPTED = "wsdl_validator_interrupted", 400
    # what the path names is not there
    ACCESSRIGHT_NOT_FOUND = "accessright_not_found", 404
    BASE_ENDPOINT_NOT_FOUND = "base_endpoint_not_found", 404
    CERTIFICATE_AUTHORITY_NOT_FOUND = "certificate_authority_not_found", 404
    CERTIFICATE_NOT_FOUND = "certificate_not_found", 404
    CLIENT_NOT_FOUND = "client_not_found", 404
    CSR_NOT_FOUND = "csr_not_found", 404
    ENDPOINT_NOT_FOUND = "endpoint_not_found", 404
    KEY_NOT_FOUND = "key_not_found", 404
    LOCAL_GROUP_NOT_FOUND = "local_group_not_found", 404
    SERVICE_DESCRIPTION_NOT_FOUND = "service_description_not_found", 404
    SERVICE_NOT_FOUND = "service_not_found", 404
    TOKEN_NOT_FOUND = "token_not_found", 404
    # what is there already does not let it be
    ACTION_NOT_POSSIBLE = "action_not_possible", 409
    CERTIFICATE_ALREADY_EXISTS = "certificate_already_exists", 409
    CLIENT_ALREADY_EXISTS = "client_already_exists", 409
    DUPLICATE_ACCESSRIGHT = "duplicate_accessright", 409
    ENDPOINT_ALREADY_EXISTS = "endpoint_already_exists", 409
    GLOBAL_CONF_OUTDATED = "global_conf_outdated", 409
    LOCAL_GROUP_CODE_ALREADY_EXISTS = "local_group_code_already_exists", 409
    LOCAL_GROUP_MEMBER_ALREADY_EXISTS = "local_group_member_already_exists", 409
    LOCAL_GROUP_MEMBER_NOT_FOUND = "local_group_member_not_found", 409
    SERVICE_ALREADY_EXISTS = "service_already_exists", 409
    SERVICE_CODE_ALREADY_EXISTS = "service_code_already_exists", 409
    TIMESTAMPING_SERVICE_ALREADY_CONFIGURED = "timestamping_service_already_configured", 409
    URL_ALREADY_EXISTS = "url_already_exists", 409
    WSDL_EXISTS = "wsdl_exists", 409
    # what the gateway needs for it has failed
    CERT_WRONG_USAGE = "cert_wrong_usage", 500
    CERTIFICATE_PROFILE_INSTANTIATION_FAILURE = "certificate_profile_instantiation_failure", 500
    SERVICE_CODE_RESERVED = "service_code_reserved", 500
