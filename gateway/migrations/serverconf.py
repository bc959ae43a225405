"""The tables of a server's configuration, in numbered steps forward.

Ids that are shown outside (service descriptions, endpoints, local groups) come from ``sequence``, never from the
engine, so both engines give the same ones and none is ever used twice. Instants are whole seconds since 1970, UTC.
"""

from __future__ import annotations

from gateway.migrations.keys import ACTIVATION_STEP, KEYCONF_STEP, RENEWAL_CAUSES_STEP
from gateway.migrations.policies import LEDGER_STEP, POLICY_STEP, PRECHECK_STEP

FIRST = """
    CREATE TABLE server (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        server_id TEXT NOT NULL,
        anchor BLOB NOT NULL,
        generation INTEGER NOT NULL
    );
    CREATE TABLE client (
        client_id TEXT PRIMARY KEY,
        connection TEXT NOT NULL
    );
    CREATE TABLE client_certificate (
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        der BLOB NOT NULL,
        PRIMARY KEY (client_id, der)
    );
    CREATE TABLE service (
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        service_code TEXT NOT NULL,
        service_version TEXT NOT NULL,
        type TEXT NOT NULL,
        url TEXT NOT NULL,
        timeout_s REAL NOT NULL,
        verify_tls INTEGER NOT NULL,
        disabled TEXT,
        PRIMARY KEY (client_id, service_code, service_version)
    );
    CREATE TABLE access_right (
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        service_code TEXT NOT NULL,
        method TEXT NOT NULL,
        path TEXT NOT NULL,
        subject_type TEXT NOT NULL,
        subject TEXT NOT NULL,
        PRIMARY KEY (client_id, service_code, method, path, subject_type, subject)
    );
    CREATE TABLE local_group (
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        code TEXT NOT NULL,
        PRIMARY KEY (client_id, code)
    );
    CREATE TABLE local_group_member (
        client_id TEXT NOT NULL,
        code TEXT NOT NULL,
        member TEXT NOT NULL,
        PRIMARY KEY (client_id, code, member),
        FOREIGN KEY (client_id, code) REFERENCES local_group (client_id, code) ON DELETE CASCADE
    );
    CREATE TABLE certificate (
        der BLOB PRIMARY KEY,
        key_id TEXT NOT NULL,
        usage TEXT NOT NULL,
        active INTEGER NOT NULL
    );
"""

# Descriptions above services, endpoints with ids, rights on endpoints; what was there is carried over.
DESCRIPTIONS = """
    CREATE TABLE sequence (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    );
    ALTER TABLE client ADD COLUMN name TEXT;
    ALTER TABLE client ADD COLUMN rename_status TEXT;
    ALTER TABLE client ADD COLUMN added_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE client ADD COLUMN seen_registered INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE client_certificate ADD COLUMN added_at INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE own_certificate (
        added INTEGER PRIMARY KEY,
        der BLOB NOT NULL UNIQUE,
        key_id TEXT NOT NULL,
        usage TEXT NOT NULL,
        active INTEGER NOT NULL
    );
    INSERT INTO own_certificate (der, key_id, usage, active) SELECT der, key_id, usage, active FROM certificate;
    DROP TABLE certificate;
    CREATE TABLE description (
        id INTEGER PRIMARY KEY,
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        type TEXT NOT NULL,
        url TEXT NOT NULL,
        disabled INTEGER NOT NULL,
        notice TEXT NOT NULL,
        refreshed_at INTEGER NOT NULL,
        document BLOB,
        media_type TEXT NOT NULL,
        digest TEXT NOT NULL
    );
    CREATE TABLE described_service (
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        service_code TEXT NOT NULL,
        service_version TEXT NOT NULL,
        description_id INTEGER NOT NULL REFERENCES description (id) ON DELETE CASCADE,
        title TEXT NOT NULL,
        url TEXT NOT NULL,
        timeout_s REAL NOT NULL,
        ssl_auth INTEGER NOT NULL,
        validation TEXT NOT NULL,
        PRIMARY KEY (client_id, service_code, service_version)
    );
    CREATE TABLE endpoint (
        id INTEGER PRIMARY KEY,
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        service_code TEXT NOT NULL,
        method TEXT NOT NULL,
        path TEXT NOT NULL,
        generated INTEGER NOT NULL,
        UNIQUE (client_id, service_code, method, path)
    );
    CREATE TABLE granted_right (
        endpoint_id INTEGER NOT NULL REFERENCES endpoint (id) ON DELETE CASCADE,
        subject_type TEXT NOT NULL,
        subject TEXT NOT NULL,
        granted_at INTEGER NOT NULL,
        PRIMARY KEY (endpoint_id, subject_type, subject)
    );
    CREATE TABLE client_group (
        id INTEGER PRIMARY KEY,
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        code TEXT NOT NULL,
        description TEXT NOT NULL,
        updated_at INTEGER NOT NULL,
        UNIQUE (client_id, code)
    );
    CREATE TABLE client_group_member (
        group_id INTEGER NOT NULL REFERENCES client_group (id) ON DELETE CASCADE,
        member TEXT NOT NULL,
        added_at INTEGER NOT NULL,
        PRIMARY KEY (group_id, member)
    );
    CREATE TABLE timestamping_service (
        name TEXT NOT NULL,
        url TEXT NOT NULL,
        cost_type TEXT NOT NULL,
        added_at INTEGER NOT NULL,
        PRIMARY KEY (name, url)
    );
    CREATE TABLE pending_request (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail TEXT NOT NULL,
        sent_at INTEGER NOT NULL
    );
    INSERT INTO description (id, client_id, type, url, disabled, notice, refreshed_at, media_type, digest)
        SELECT row_number() OVER (ORDER BY client_id, service_code, service_version), client_id, type, url,
            CASE WHEN disabled IS NULL THEN 0 ELSE 1 END, coalesce(disabled, ''), 0, '', ''
        FROM service;
    INSERT INTO described_service (client_id, service_code, service_version, description_id, title, url, timeout_s,
            ssl_auth, validation)
        SELECT client_id, service_code, service_version,
            row_number() OVER (ORDER BY client_id, service_code, service_version), '', url, timeout_s, verify_tls, 'OFF'
        FROM service;
    INSERT INTO endpoint (id, client_id, service_code, method, path, generated)
        SELECT row_number() OVER (ORDER BY client_id, service_code, method, path), client_id, service_code, method,
            path, CASE WHEN method = '*' AND path = '**' THEN 1 ELSE 0 END
        FROM (
            SELECT client_id, service_code, method, path FROM access_right
            UNION SELECT client_id, service_code, '*', '**' FROM service
        ) AS every;
    INSERT INTO granted_right (endpoint_id, subject_type, subject, granted_at)
        SELECT e.id, r.subject_type, r.subject, 0
        FROM access_right r JOIN endpoint e ON e.client_id = r.client_id AND e.service_code = r.service_code
            AND e.method = r.method AND e.path = r.path;
    INSERT INTO client_group (id, client_id, code, description, updated_at)
        SELECT row_number() OVER (ORDER BY client_id, code), client_id, code, '', 0 FROM local_group;
    INSERT INTO client_group_member (group_id, member, added_at)
        SELECT g.id, m.member, 0 FROM local_group_member m
        JOIN client_group g ON g.client_id = m.client_id AND g.code = m.code;
    INSERT INTO sequence (name, value) SELECT 'description', coalesce(max(id), 0) FROM description;
    INSERT INTO sequence (name, value) SELECT 'endpoint', coalesce(max(id), 0) FROM endpoint;
    INSERT INTO sequence (name, value) SELECT 'group', coalesce(max(id), 0) FROM client_group;
    INSERT INTO sequence (name, value) VALUES ('request', 0);
    DROP TABLE local_group_member;
    DROP TABLE local_group;
    DROP TABLE access_right;
    DROP TABLE service;
"""

# What the central server knows a request by, and whether one that stays took effect.
REQUEST_NUMBERS_STEP = """
    ALTER TABLE pending_request ADD COLUMN number BIGINT NOT NULL DEFAULT 0;
    ALTER TABLE pending_request ADD COLUMN message_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE pending_request ADD COLUMN effective INTEGER NOT NULL DEFAULT 0;
"""

SETTINGS = """
    CREATE TABLE setting (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    )
"""

# One row once an operator took the last timestamping authority away: then none is used, where otherwise all approved are.
TIMESTAMPING_STEP = """
    CREATE TABLE no_timestamping (
        since INTEGER PRIMARY KEY
    )
"""

# Requests for access that came over the exchange: at most one of a client for a service.
ACCESS_REQUEST_STEP = """
    CREATE TABLE access_request (
        id INTEGER PRIMARY KEY,
        client TEXT NOT NULL,
        provider TEXT NOT NULL,
        service_code TEXT NOT NULL,
        purpose TEXT NOT NULL,
        legal_basis TEXT NOT NULL,
        contact TEXT NOT NULL,
        message_id TEXT NOT NULL,
        asked_at BIGINT NOT NULL,
        state TEXT NOT NULL,
        decided_at BIGINT,
        decided_by TEXT NOT NULL,
        reason TEXT NOT NULL,
        UNIQUE (client, provider, service_code)
    );
    INSERT INTO sequence (name, value) VALUES ('access_request', 0);
"""

STEPS = (
    FIRST,
    DESCRIPTIONS,
    KEYCONF_STEP,
    POLICY_STEP,
    LEDGER_STEP,
    REQUEST_NUMBERS_STEP,
    SETTINGS,
    PRECHECK_STEP,
    ACTIVATION_STEP,
    TIMESTAMPING_STEP,
    ACCESS_REQUEST_STEP,
    RENEWAL_CAUSES_STEP,
)
