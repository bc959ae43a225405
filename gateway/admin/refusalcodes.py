"""The codes of refusals (`Refusal`, `KeyRefused`) and the HTTP status each is answered with by the admin API.

One table: a code that is not in it is a mistake in the program, and is told as one instead of passing for the caller's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUS: Mapping[str, int] = {
    # what was asked is wrong in itself
    "acme.account_creation_failure": 400,
    "acme.account_key_pair_error": 400,
    "acme.account_keystore_password_missing": 400,
    "acme.authorization_wait_failure": 400,
    "acme.challenge_trigger_failure": 400,
    "acme.eab_credentials_missing": 400,
    "acme.fetching_metadata_error": 400,
    "acme.fetching_renewal_info_failure": 400,
    "acme.http_challenge_missing": 400,
    "acme.order_creation_failure": 400,
    "acme.order_finalization_failure": 400,
    "description_download_failed": 400,
    "description_too_large": 400,
    "illegal_generated_endpoint_remove": 400,
    "illegal_generated_endpoint_update": 400,
    "invalid_certificate": 400,
    "invalid_characters_pin": 400,
    "invalid_distinguished_name": 400,
    "invalid_dn_parameter": 400,
    "invalid_service_code": 400,
    "invalid_service_title": 400,
    "invalid_service_url": 400,
    "invalid_wsdl": 400,
    "invalid_wsdl_service_identifier": 400,
    "malformed_url": 400,
    "memberId_required_for_sign_csr": 400,
    "missing_parameter": 400,
    "openapi_parsing_error": 400,
    "pin_incorrect": 400,
    "timestamping_service_not_found": 400,
    "token_weak_pin": 400,
    "unsupported_openapi_version": 400,
    "url_not_allowed": 400,
    "validation_failure": 400,
    "validation_not_possible": 400,
    "wrong_key_usage": 400,
    "wrong_servicedescription_type": 400,
    "wsdl_download_failed": 400,
    # what the path names is not there
    "accessright_not_found": 404,
    "base_endpoint_not_found": 404,
    "certificate_authority_not_found": 404,
    "certificate_not_found": 404,
    "client_not_found": 404,
    "csr_not_found": 404,
    "endpoint_not_found": 404,
    "key_not_found": 404,
    "local_group_not_found": 404,
    "service_description_not_found": 404,
    "service_not_found": 404,
    "token_not_found": 404,
    # what is there already does not let it be
    "action_not_possible": 409,
    "certificate_already_exists": 409,
    "client_already_exists": 409,
    "duplicate_accessright": 409,
    "endpoint_already_exists": 409,
    "global_conf_outdated": 409,
    "local_group_code_already_exists": 409,
    "local_group_member_already_exists": 409,
    "local_group_member_not_found": 409,
    "service_already_exists": 409,
    "service_code_already_exists": 409,
    "timestamping_service_already_configured": 409,
    "url_already_exists": 409,
    "wsdl_exists": 409,
    # what the gateway needs for it has failed
    "cert_wrong_usage": 500,
    "certificate_profile_instantiation_failure": 500,
    "service_code_reserved": 500,
}


def status_of(code: str) -> int:
    """The status of a refusal. Raises `LookupError` for a code that has none."""
    if code not in STATUS:
        raise LookupError(
            f"the refusal {code!r} has no HTTP status; gateway/admin/refusalcodes.py lists them"
        )
    return STATUS[code]
