"""The tables of keys and certificates, as a step of the server configuration's database."""

KEYCONF_STEP = """
    ALTER TABLE own_certificate ADD COLUMN status TEXT NOT NULL DEFAULT 'SAVED';
    ALTER TABLE own_certificate ADD COLUMN member TEXT;
    ALTER TABLE own_certificate ADD COLUMN imported_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE own_certificate ADD COLUMN registered_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE own_certificate ADD COLUMN activation_error TEXT;
    ALTER TABLE own_certificate ADD COLUMN renewed_hash TEXT;
    ALTER TABLE own_certificate ADD COLUMN renewal_error TEXT;
    ALTER TABLE own_certificate ADD COLUMN renewal_at INTEGER NOT NULL DEFAULT 0;
    UPDATE own_certificate SET status = 'REGISTERED' WHERE usage = 'sign';
    CREATE TABLE key_token (
        token_id TEXT PRIMARY KEY,
        type TEXT NOT NULL,
        name TEXT NOT NULL,
        serial_number TEXT
    );
    CREATE TABLE token_key (
        key_id TEXT PRIMARY KEY,
        token_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        label TEXT NOT NULL,
        name TEXT NOT NULL,
        usage TEXT,
        public_key BLOB NOT NULL
    );
    CREATE TABLE signing_request (
        request_id TEXT PRIMARY KEY,
        key_id TEXT NOT NULL REFERENCES token_key (key_id) ON DELETE CASCADE,
        usage TEXT NOT NULL,
        member TEXT,
        ca_name TEXT NOT NULL,
        profile TEXT NOT NULL,
        subject TEXT NOT NULL,
        created_at INTEGER NOT NULL
    );
"""

# Set when a setting lets the certificate be activated without a person, until it is.
ACTIVATION_STEP = "ALTER TABLE own_certificate ADD COLUMN awaits_activation INTEGER NOT NULL DEFAULT 0"

# Why the last renewal failed, as `serving.process.failing` names causes, spaces between.
RENEWAL_CAUSES_STEP = "ALTER TABLE own_certificate ADD COLUMN renewal_causes TEXT NOT NULL DEFAULT ''"
