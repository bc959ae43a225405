"""What an operation brings about, said before it is done: to whom, and whether it can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving.language import N_

if TYPE_CHECKING:
    from serving.language import Translatable

_REQUEST = N_(
    "A signed request goes to the central server; it takes effect when its operators approve it and a new configuration is out."
)

CONSEQUENCES: Final[dict[str, Translatable]] = {
    "post_initialization": N_("The server gets its identity and its token. The identity cannot be changed here afterwards."),
    "put_system_anchor": N_("From now on this server believes the sources that the anchor names. Compare its digest first."),
    "put_clients_id_register": _REQUEST,
    "put_clients_id_unregister": N_("A signed request goes to the central server; from then on nobody reaches this client here. To undo it, register it again."),
    "put_clients_id_make_owner": _REQUEST,
    "put_clients_id_disable": N_("The central server is told; until it is switched on again, no message of this client is taken or given."),
    "put_clients_id_enable": N_("The central server is told; messages of this client flow again with the next configuration."),
    "put_system_maintenance_mode_disable": _REQUEST,
    "delete_clients_id_orphans": N_("The keys and certificates that remain of the client are deleted. This cannot be undone."),
    "delete_clients_id_tls_certificates_hash": N_("A system that shows this certificate is refused from its next call on; it may be added again."),
    "delete_endpoints_id": N_("Access rights to this endpoint go with it; whoever has no right to the whole service is refused. This cannot be undone."),
    "delete_tokens_id": N_("The token is forgotten here with its keys and certificates; the device itself is not touched."),
    "delete_keys_id_csrs_csr_id": N_("A certificate that was asked for by this request may still be imported, for the key stays."),
    "put_notifications_alerts_reset": N_("The notice goes from every page. Do it only if no backup and no restore is running."),
    "put_clients_id_rename": N_("The new name goes to the central server and stands in the next configuration."),
    "delete_clients_id": N_("The client is removed from this server with its services, groups and access rights. This cannot be undone."),
    "put_service_descriptions_id_refresh": N_("The document is read again. If services or endpoints come or go, you are shown which before anything changes."),
    "delete_service_descriptions_id": N_("Its services go with their access rights; whoever calls them is refused. This cannot be undone."),
    "put_service_descriptions_id_disable": N_("Whoever calls these services gets your notice as a fault, until you switch them on."),
    "put_service_descriptions_id_enable": N_("Whoever has a right may call these services again."),
    "post_services_id_service_clients": N_("Whom you name may call every endpoint of the service from the next message on."),
    "post_services_id_service_clients_delete": N_("From the next message on its calls are refused. It can be granted again."),
    "post_endpoints_id_service_clients_delete": N_("From the next message on its calls to this endpoint are refused. It can be granted again."),
    "post_clients_id_service_clients_sc_id_access_rights": N_("Whom you name may call every endpoint of the service from the next message on."),
    "post_clients_id_service_clients_sc_id_access_rights_delete": N_("From the next message on its calls are refused. It can be granted again."),
    "post_local_groups_group_id_members_delete": N_("It loses what the group's members may do, from the next message on."),
    "delete_local_groups_group_id": N_("The group goes with its access rights. This cannot be undone."),
    "put_tokens_id_login": N_("The token is opened until this server stops: messages are signed with its keys."),
    "put_tokens_id_logout": N_("Messages are signed no longer with this token's keys: traffic stops until the PIN is entered again."),
    "delete_keys_id": N_("The key, its certificates and its requests are destroyed. This cannot be undone, not even from a backup made later."),
    "put_token_certificates_hash_activate": N_("The certificate is used from the next message on."),
    "put_token_certificates_hash_disable": N_("The certificate is used no longer; without another one traffic stops."),
    "delete_token_certificates_hash": N_("The certificate is removed from this server; the key stays."),
    "put_token_certificates_hash_register": _REQUEST,
    "put_token_certificates_hash_unregister": N_("The central server is told that this certificate is no longer this server's; connections by it end."),
    "post_system_certificate": N_("A new key and certificate for the systems' side. Systems that check the old certificate must be given the new one."),
    "put_system_server_address": N_("The central server is told the new address; other servers use it with the next configuration."),
    "put_system_maintenance_mode_enable": N_("Other servers are told by the configuration that this one is under maintenance."),
    "put_backups_filename_restore": N_("Keys, clients, services, access rights, settings and users become those of the backup; whatever was changed since is lost, sessions end, and the server begins anew. Make a backup of now first. The message log stays."),
    "delete_backups_filename": N_("The file is deleted. This cannot be undone."),
    "post_backups": N_("A file is written with keys, clients, services, rights, settings and users, encrypted for the recipients of the settings. The message log is not in it."),
    "delete_api_keys_id": N_("Programs that use this key are refused from their next call on. This cannot be undone."),
    "post_api_keys": N_("The key is shown once, on the next page. Whoever has it may do what its roles may."),
    "post_message_log_containers": N_("A zip with the containers, which hold the messages' content unless you ask for digests alone. The audit log keeps your name, the reason and the records' numbers."),
    "post_message_log_records_id_container": N_("A file with the container, which holds the message's content unless you ask for digests alone. The audit log keeps your name, the reason and the record's number."),
    "post_message_log_verdicts": N_("The container is judged here by the configuration that holds now. It is not kept."),
    "put_access_requests_id_approve": N_("The client may call every endpoint of the service from the next message on, and reads that it was approved. The right is taken back on the page of rights; for single endpoints, grant them there instead and decline this one with a word."),
    "post_clients_id_access_requests": N_("A message in your client's name goes to the provider with what you write here; its operators read it and decide."),
    "put_access_requests_id_decline": N_("Nothing is granted. The client reads the reason, and may ask again."),
    "put_settings_name": N_("The value is written to the settings file; the list says whether it holds at once or from the next start on."),
    "delete_settings_name": N_("The setting goes back to the file's value or to its default."),
}  # fmt: skip
