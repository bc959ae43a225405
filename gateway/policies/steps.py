"""The tables of policies, as a step of the server configuration's database."""

POLICY_STEP = """
    CREATE TABLE policy_authority (
        certificate BLOB PRIMARY KEY
    );
    CREATE TABLE policy_rule (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        signatures_needed INTEGER NOT NULL
    );
    CREATE TABLE policy_document (
        digest TEXT PRIMARY KEY,
        signed BLOB NOT NULL,
        loaded_at TEXT NOT NULL
    );
    CREATE TABLE service_policy (
        client_id TEXT NOT NULL,
        service_code TEXT NOT NULL,
        policy_id TEXT NOT NULL,
        excess TEXT NOT NULL,
        PRIMARY KEY (client_id, service_code)
    );
"""
