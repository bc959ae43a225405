"""The tables of a central server, in the dialect both engines run (see `serving.storage.database`).

Members and subsystems are rows of ``client``; a member has no subsystem code (the empty text). What belongs to one node
of several (its address, its signing keys, its TLS certificate) carries the node's name; all else is shared.
"""

from __future__ import annotations

from serving.storage.audit import AUDIT_STEP

STEPS = (
    """
    CREATE TABLE parameter (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE node (name TEXT PRIMARY KEY, address TEXT NOT NULL, published_at TEXT);
    CREATE TABLE member_class (code TEXT PRIMARY KEY, description TEXT NOT NULL);
    CREATE TABLE client (
        id INTEGER PRIMARY KEY,
        member_class TEXT NOT NULL REFERENCES member_class (code),
        member_code TEXT NOT NULL,
        subsystem_code TEXT NOT NULL,
        name TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        UNIQUE (member_class, member_code, subsystem_code)
    );
    CREATE TABLE server (
        id INTEGER PRIMARY KEY,
        owner_id BIGINT NOT NULL REFERENCES client (id),
        server_code TEXT NOT NULL,
        address TEXT NOT NULL,
        maintenance TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        UNIQUE (owner_id, server_code)
    );
    CREATE TABLE auth_certificate (
        id INTEGER PRIMARY KEY,
        server_id BIGINT NOT NULL REFERENCES server (id),
        digest TEXT NOT NULL UNIQUE,
        der BLOB NOT NULL,
        created_at TEXT NOT NULL
    );
    CREATE INDEX auth_certificate_server ON auth_certificate (server_id);
    CREATE TABLE server_client (
        server_id BIGINT NOT NULL REFERENCES server (id),
        client_id BIGINT NOT NULL REFERENCES client (id),
        enabled INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (server_id, client_id)
    );
    CREATE INDEX server_client_client ON server_client (client_id);
    CREATE TABLE global_group (
        id INTEGER PRIMARY KEY,
        code TEXT NOT NULL UNIQUE,
        description TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    );
    CREATE TABLE group_member (
        id INTEGER PRIMARY KEY,
        group_id BIGINT NOT NULL REFERENCES global_group (id),
        client_id BIGINT NOT NULL REFERENCES client (id),
        created_at TEXT NOT NULL,
        UNIQUE (group_id, client_id)
    );
    CREATE INDEX group_member_client ON group_member (client_id);
    CREATE TABLE approved_ca (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        certificate BLOB NOT NULL,
        profile TEXT NOT NULL,
        tls_auth INTEGER NOT NULL,
        csr_format TEXT,
        acme_url TEXT,
        acme_ip TEXT,
        acme_auth_profile TEXT,
        acme_sign_profile TEXT
    );
    CREATE TABLE intermediate_ca (
        id INTEGER PRIMARY KEY,
        ca_id BIGINT NOT NULL REFERENCES approved_ca (id),
        certificate BLOB NOT NULL
    );
    CREATE TABLE ocsp_responder (
        id INTEGER PRIMARY KEY,
        ca_id BIGINT REFERENCES approved_ca (id),
        intermediate_id BIGINT REFERENCES intermediate_ca (id),
        url TEXT NOT NULL,
        cost_type TEXT,
        certificate BLOB
    );
    CREATE TABLE tsa (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        url TEXT NOT NULL,
        cost_type TEXT,
        certificate BLOB NOT NULL
    );
    CREATE TABLE trusted_anchor (
        digest TEXT PRIMARY KEY,
        instance TEXT NOT NULL UNIQUE,
        raw BLOB NOT NULL
    );
    CREATE TABLE optional_part (
        content_id TEXT PRIMARY KEY,
        file_name TEXT NOT NULL,
        raw BLOB NOT NULL,
        updated_at TEXT NOT NULL
    );
    CREATE TABLE signing_key (
        key_id TEXT PRIMARY KEY,
        node TEXT NOT NULL,
        source TEXT NOT NULL,
        token_id TEXT NOT NULL,
        label TEXT NOT NULL,
        certificate BLOB NOT NULL,
        active INTEGER NOT NULL,
        created_at TEXT NOT NULL
    );
    CREATE TABLE source_anchor (source TEXT PRIMARY KEY, raw BLOB NOT NULL, created_at TEXT NOT NULL);
    CREATE TABLE tls_certificate (node TEXT PRIMARY KEY, key_id TEXT NOT NULL, certificate BLOB NOT NULL);
    CREATE TABLE management_request (
        id INTEGER PRIMARY KEY,
        type TEXT NOT NULL,
        origin TEXT NOT NULL,
        status TEXT NOT NULL,
        server TEXT NOT NULL,
        client TEXT,
        address TEXT,
        certificate BLOB,
        subsystem_name TEXT,
        comments TEXT,
        message_id TEXT,
        complements BIGINT,
        made_by TEXT NOT NULL,
        first_approval TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    );
    CREATE INDEX management_request_server ON management_request (server, status);
    CREATE TABLE seen_message (
        sender TEXT NOT NULL,
        message_id TEXT NOT NULL,
        seen_at TEXT NOT NULL,
        PRIMARY KEY (sender, message_id)
    );
    CREATE TABLE contact (
        member TEXT PRIMARY KEY,
        mail TEXT,
        webhook TEXT,
        secret TEXT
    );
    CREATE TABLE notice (
        id INTEGER PRIMARY KEY,
        request_id BIGINT NOT NULL,
        member TEXT NOT NULL,
        channel TEXT NOT NULL,
        body TEXT NOT NULL,
        tries INTEGER NOT NULL,
        next_at TEXT NOT NULL,
        problem TEXT
    );
    """,
    AUDIT_STEP,
    """
    CREATE TABLE described_service (
        id INTEGER PRIMARY KEY,
        service TEXT NOT NULL UNIQUE,
        client TEXT NOT NULL,
        type TEXT NOT NULL,
        title TEXT NOT NULL,
        summary TEXT NOT NULL,
        data_sets TEXT NOT NULL,
        purposes TEXT NOT NULL,
        words TEXT NOT NULL,
        first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL,
        gone_since TEXT
    );
    CREATE TABLE service_version (
        service_id BIGINT NOT NULL REFERENCES described_service (id),
        number BIGINT NOT NULL,
        digest TEXT NOT NULL,
        media_type TEXT NOT NULL,
        raw BLOB NOT NULL,
        seen_at TEXT NOT NULL,
        PRIMARY KEY (service_id, number)
    );
    CREATE TABLE described_provider (
        client TEXT PRIMARY KEY,
        last_reached TEXT,
        unreachable_since TEXT,
        problem TEXT
    );
    """,
    """
    CREATE TABLE transparency_keys (
        server TEXT PRIMARY KEY,
        log_key TEXT NOT NULL,
        witness_key TEXT NOT NULL,
        at TEXT NOT NULL
    );
    CREATE TABLE central_witness (
        node TEXT PRIMARY KEY,
        url TEXT NOT NULL,
        key TEXT NOT NULL
    );
    """,
    # When a certificate ends, as ``YYYY-MM-DDTHH:MM:SSZ``; empty: no certificate could be read; NULL: not read yet (`read_ends`).
    """
    ALTER TABLE auth_certificate ADD COLUMN not_after TEXT;
    DROP INDEX auth_certificate_server;
    CREATE INDEX auth_certificate_server ON auth_certificate (server_id, not_after);
    CREATE INDEX management_request_status ON management_request (status, id);
    """,
    # Of ``problem``, as `serving.process.failing` names causes, spaces between.
    "ALTER TABLE described_provider ADD COLUMN causes TEXT NOT NULL DEFAULT ''",
    # When a publication first had the key's certificate in it, since the last time that gateways may have been without one.
    "ALTER TABLE signing_key ADD COLUMN published_at TEXT;",
)
