"""The registry's tables: the steps of every part of it, in one list that only grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from social_security.registry.accesses import ACCESS_STEP
from social_security.registry.curpstates import (
    CURP_STATES_STEP,
)
from social_security.registry.events import EVENTS_STEP
from social_security.wire.gatewayrefusals import REFUSALS_STEP
from social_security.wire.outbox import OUTBOX_ENDS_STEP, OUTBOX_STEP

if TYPE_CHECKING:
    pass


HOLDING_STEP = """
    CREATE TABLE membership (
        member TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        since TEXT NOT NULL,
        successor TEXT,
        notice_id TEXT NOT NULL
    );
"""
# When an institute announced by message that it holds the person; NULL where an officer, an import or a fixture linked them.
LINK_NOTED_STEP = "ALTER TABLE link ADD COLUMN noted_at TEXT"
# Of a case that ended because its institute left, the day on which she applied; of the one that goes on with it, the same day.
CASE_FIRST_DAY_STEP = "ALTER TABLE case_entry ADD COLUMN first_day TEXT"
# By which pseudonym its member registered a case: where records that were made one are made two again, it goes with that one.
# ``taken_by``: the case that goes on with the first day of one that ended because its institute left; no other takes it again.
CASE_PID_STEP = """
    ALTER TABLE case_entry ADD COLUMN pid TEXT;
    ALTER TABLE case_entry ADD COLUMN taken_by TEXT;
    CREATE INDEX merged_rid ON merged (rid);
"""
# The day on which it was registered first, where its member is: ``at`` is the registry's time, an hour or two on.
CASE_APPLIED_STEP = "ALTER TABLE case_entry ADD COLUMN applied TEXT"
STEPS = (
    """
    CREATE TABLE person (
        rid BLOB PRIMARY KEY,
        curp_cipher BLOB,
        level INTEGER NOT NULL,
        vital_state TEXT NOT NULL,
        no_curp_reason TEXT,
        no_curp_expires TEXT
    );
    CREATE TABLE curp_index (
        idx TEXT PRIMARY KEY,
        key_version TEXT NOT NULL,
        rid BLOB NOT NULL REFERENCES person (rid),
        is_current INTEGER NOT NULL
    );
    CREATE INDEX curp_index_rid ON curp_index (rid);
    CREATE TABLE evidence (
        rid BLOB NOT NULL REFERENCES person (rid),
        type TEXT NOT NULL,
        issuer TEXT NOT NULL,
        at TEXT NOT NULL,
        sha256 TEXT NOT NULL
    );
    CREATE TABLE link (
        member TEXT NOT NULL,
        pid TEXT NOT NULL,
        rid BLOB NOT NULL REFERENCES person (rid),
        since TEXT NOT NULL,
        until TEXT,
        has_history INTEGER NOT NULL,
        key_version TEXT NOT NULL,
        PRIMARY KEY (member, pid)
    );
    CREATE INDEX link_rid ON link (rid);
    CREATE TABLE recipient (
        member TEXT PRIMARY KEY,
        jwk TEXT NOT NULL
    );
    CREATE TABLE notice (
        uri TEXT PRIMARY KEY,
        sha256 TEXT NOT NULL
    );
    CREATE TABLE case_entry (
        case_id TEXT PRIMARY KEY,
        member TEXT NOT NULL,
        rid BLOB NOT NULL,
        benefit TEXT,
        state TEXT NOT NULL,
        at TEXT NOT NULL
    );
    CREATE INDEX case_entry_rid ON case_entry (rid, benefit);
    CREATE TABLE lookup (
        account TEXT NOT NULL,
        day TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (account, day)
    );
    """,
    """
    CREATE TABLE vital_event (
        event_id TEXT PRIMARY KEY,
        rid BLOB NOT NULL,
        body TEXT NOT NULL
    );
    CREATE TABLE review (
        rid BLOB NOT NULL,
        other BLOB NOT NULL,
        decided_by TEXT,
        signature TEXT,
        PRIMARY KEY (rid, other)
    );
    """,
    OUTBOX_STEP,
    REFUSALS_STEP,
    """
    CREATE TABLE lookup_case (
        month TEXT NOT NULL,
        member TEXT NOT NULL,
        case_id TEXT NOT NULL,
        count BIGINT NOT NULL,
        PRIMARY KEY (month, member, case_id)
    );
    """,
    EVENTS_STEP,
    OUTBOX_ENDS_STEP,
    "ALTER TABLE case_entry ADD COLUMN held_until TEXT",
    ACCESS_STEP,
    CURP_STATES_STEP,
    HOLDING_STEP,
    LINK_NOTED_STEP,
    CASE_FIRST_DAY_STEP,
    CASE_PID_STEP,
    CASE_APPLIED_STEP,
)
