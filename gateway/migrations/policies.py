"""The tables of policies, as steps of the server configuration's database."""

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

LEDGER_STEP = """
    CREATE TABLE policy_count (
        day TEXT NOT NULL,
        account TEXT NOT NULL,
        count BIGINT NOT NULL,
        PRIMARY KEY (day, account)
    );
    CREATE TABLE policy_refusal (
        number INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        event TEXT NOT NULL,
        reason TEXT NOT NULL,
        rule TEXT NOT NULL,
        policy TEXT NOT NULL,
        client TEXT NOT NULL,
        owner TEXT NOT NULL,
        service TEXT NOT NULL,
        message_id TEXT NOT NULL,
        field TEXT NOT NULL,
        told TEXT NOT NULL
    );
    CREATE INDEX policy_refusal_owner ON policy_refusal (owner, number);
"""
PRECHECK_STEP = """
    CREATE TABLE policy_precheck (
        policy_id TEXT PRIMARY KEY
    );
"""
