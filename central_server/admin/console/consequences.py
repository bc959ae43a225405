"""What an operation of the central server brings about, said before it is done: to whom, and whether it can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving.language import N_

if TYPE_CHECKING:
    from serving.language import Translatable

_RESPONDER = N_(
    "Gateways no longer ask this responder with the next configuration. Without any, certificates below it are not believed."
)

CONSEQUENCES: Final[dict[str, Translatable]] = {
    "delete_member_classes_code": N_("The class can no longer be chosen. A class that has members is not deleted."),
    "delete_members_member_id_servers_server_id": N_("With the next configuration nobody reaches this client at that server. It may be registered there again."),
    "delete_intermediate_cas_intermediate_ca_id": N_("Certificates of this authority are not believed with the next configuration, and servers that have them stop."),
    "delete_intermediate_cas_intermediate_ca_id_ocsp_responders_ocsp_responder_id": _RESPONDER,
    "delete_ocsp_responders_ocsp_responder_id": _RESPONDER,
    "post_initialization": N_("The instance and its token come into being. The name of the instance cannot be changed afterwards."),
    "post_management_requests_management_request_id_approval": N_("What the request asks for stands in the next configuration, and every server of the instance believes it. The institute is told."),
    "delete_management_requests_management_request_id": N_("Nothing is registered; the institute is told your reason. It may ask again."),
    "delete_members_member_id": N_("The member goes with its subsystems, and its servers lose their owner. Its messages are refused from the next configuration on. This cannot be undone."),
    "delete_subsystems_subsystem_id": N_("The subsystem is removed from the registry. This cannot be undone."),
    "delete_subsystems_subsystem_id_servers_server_id": N_("The subsystem is no longer a client of that server from the next configuration on."),
    "delete_security_servers_server_id": N_("The server is removed with its certificates and clients; nobody connects to it from the next configuration on. This cannot be undone."),
    "delete_security_servers_server_id_authentication_certificates_certificate_id": N_("Connections by this certificate are refused from the next configuration on."),
    "patch_security_servers_server_id": N_("Other servers connect to the new address from the next configuration on."),
    "delete_global_groups_group_code": N_("Whoever had rights by this group loses them from the next configuration on. This cannot be undone."),
    "delete_global_groups_group_code_members_client_id": N_("It loses what the group's members may do, from the next configuration on."),
    "post_global_groups_group_code_members_add": N_("They get what the group's members may do, from the next configuration on."),
    "post_certification_services": N_("Certificates of this authority are believed in the whole instance from the next configuration on."),
    "delete_certification_services_certification_service_id": N_("Certificates of this authority are believed no longer: servers that have only these stop. This cannot be undone."),
    "delete_timestamping_services_timestamping_service_id": N_("Servers that use only this authority stop taking messages after a while. This cannot be undone."),
    "post_configuration_sources_configuration_type_signing_keys": N_("A key is made on the token. The first one signs at once; others wait until they are taken into use. Give out a new anchor afterwards."),
    "put_signing_keys_sign_key_id_activate": N_("The configuration is signed by this key from the next one on. Servers believe it if their anchor or the configuration before names it."),
    "delete_signing_keys_sign_key_id": N_("The key is destroyed. This cannot be undone."),
    "put_configuration_sources_configuration_type_anchor_re_create": N_("A new anchor is made with the keys of now; it has to be brought to whom it is for."),
    "post_trusted_anchors": N_("From now on the configuration of that instance is fetched, and its members may be called. Compare the digest first."),
    "delete_trusted_anchors_hash": N_("Members of that instance can be called no longer, from the next configuration on."),
    "put_tokens_token_id_login": N_("The token is opened: the configuration is signed with its keys."),
    "put_tokens_token_id_logout": N_("The configuration is signed no longer and expires; then messages stop in the whole instance."),
    "put_system_server_address": N_("The anchors name the new address; give out new ones."),
    "patch_management_services_configuration": N_("Security servers send their management requests to this subsystem from the next configuration on."),
    "put_backups_filename_restore": N_("Members, servers, groups, authorities, keys and users become those of the backup; whatever was changed since is lost, sessions end, and the server begins anew. Make a backup of now first."),
    "delete_backups_filename": N_("The file is deleted. This cannot be undone."),
    "delete_api_keys_id": N_("Programs that use this key are refused from their next call on. This cannot be undone."),
    "post_api_keys": N_("The key is shown once, on the next page. Whoever has it may do what its roles may."),
}  # fmt: skip
