"""The tables of a message log.

What can be searched is clear: message id, request id, client, service, owner, side, time. By the rules of the message
protocols none of it says anything of a person, and an identifier that does is the sender's mistake (docs/archives.md). The
message itself and its bodies are sealed under the record's key; a signature, its hash chains and its timestamp hold digests.
"""

from __future__ import annotations

DATABASE = "messages.sqlite"
# Bodies stand in a table of rows with an index by record: in a tree by its key, as logs that were begun before have it, a body of a
# kilobyte takes a page of its own, and a record a quarter more room. Every statement reads and writes both alike.
STEPS = (
    """
    CREATE TABLE record (
        id INTEGER PRIMARY KEY,
        message_id TEXT NOT NULL,
        request_id TEXT NOT NULL,
        is_response INTEGER NOT NULL,
        side TEXT NOT NULL,
        owner TEXT NOT NULL,
        client TEXT NOT NULL,
        service TEXT NOT NULL,
        protocol TEXT NOT NULL,
        message BLOB NOT NULL,
        signature BLOB NOT NULL,
        hash_chain_result BLOB,
        hash_chain BLOB,
        at_ms INTEGER NOT NULL,
        chain BLOB NOT NULL
    );
    CREATE INDEX record_of_message ON record (message_id);
    CREATE TABLE attachment (
        record_id INTEGER NOT NULL REFERENCES record (id),
        number INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        digest BLOB NOT NULL,
        content BLOB,
        file_name TEXT,
        PRIMARY KEY (record_id, number)
    );
    CREATE TABLE stamp (
        id INTEGER PRIMARY KEY,
        token BLOB NOT NULL,
        result BLOB,
        at_ms INTEGER NOT NULL,
        authority TEXT NOT NULL
    );
    CREATE TABLE stamped (
        record_id INTEGER PRIMARY KEY REFERENCES record (id),
        stamp_id INTEGER NOT NULL REFERENCES stamp (id),
        chain BLOB,
        signature BLOB
    );
    """,
    # What is archived, the archives, and where the log begins once its oldest records are gone (at most one row).
    """
    CREATE TABLE archive (
        id INTEGER PRIMARY KEY,
        group_name TEXT NOT NULL,
        digest TEXT NOT NULL,
        file_name TEXT NOT NULL,
        at_ms INTEGER NOT NULL
    );
    CREATE INDEX archive_of_group ON archive (group_name);
    CREATE TABLE archived (
        record_id INTEGER PRIMARY KEY REFERENCES record (id),
        archive_id INTEGER NOT NULL REFERENCES archive (id)
    );
    CREATE TABLE removed (
        id INTEGER PRIMARY KEY,
        chain BLOB NOT NULL
    );
    """,
    # Sealing. ``form`` is how a record's content is kept: 0 clear (from before), 1 sealed. ``links`` is what its digest in
    # the chain is over: 1 the message, as before, 2 the message's SHA-512. ``is_reduced``: headers only, by a setting.
    # ``kept_bytes``: how much of a body is in the log, where that is not all of it.
    # An erasure is an order; ``is_done`` once its keys are destroyed and its content is gone. ``erased`` outlives its record.
    """
    ALTER TABLE record ADD COLUMN form INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE record ADD COLUMN links INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE record ADD COLUMN message_digest BLOB;
    ALTER TABLE record ADD COLUMN is_reduced INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE attachment ADD COLUMN file_key BLOB;
    ALTER TABLE attachment ADD COLUMN kept_bytes INTEGER;
    CREATE INDEX record_of_form ON record (form) WHERE form = 0;
    CREATE TABLE erasure (
        id INTEGER PRIMARY KEY,
        reference TEXT NOT NULL,
        authority TEXT NOT NULL,
        ordered_by TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        is_done INTEGER NOT NULL
    );
    CREATE TABLE erased (
        record_id INTEGER PRIMARY KEY,
        erasure_id INTEGER NOT NULL REFERENCES erasure (id),
        record_digest BLOB
    );
    CREATE TABLE sealed (
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL
    );
    """,
    # Up to which record the log was emptied, when that one had been written, and whether the keys up to it are destroyed.
    """
    CREATE TABLE emptied (
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        is_destroyed INTEGER NOT NULL
    );
    """,
    # Up to which number, by what is done, every record has it or is gone; of bodies, up to which time (milliseconds) none is unnamed.
    """
    CREATE TABLE settled (
        name TEXT PRIMARY KEY,
        number INTEGER NOT NULL
    );
    """,
    # A timestamp that goes is looked for among the marks, by the statement and by the foreign key: without this in all of them.
    "CREATE INDEX stamped_of_stamp ON stamped (stamp_id)",
)
