"""ONIESS's tables: the steps of every part of it, in one list that only grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from social_security.oniess.commitments import COMMITMENTS_STEP
from social_security.wire.outbox import OUTBOX_ENDS_STEP, OUTBOX_STEP

if TYPE_CHECKING:
    pass


MEMBERSHIP_STEP = """
    ALTER TABLE member ADD COLUMN state TEXT NOT NULL DEFAULT 'ACTIVA';
    ALTER TABLE member ADD COLUMN since TEXT;
    ALTER TABLE member ADD COLUMN successor TEXT;
    CREATE TABLE membership_event (
        number INTEGER PRIMARY KEY,
        member TEXT NOT NULL,
        state TEXT NOT NULL,
        since TEXT NOT NULL,
        successor TEXT,
        case_id TEXT NOT NULL,
        reason TEXT NOT NULL,
        evidence TEXT NOT NULL
    );
"""
STEPS = (
    """
    CREATE TABLE notice (
        uri TEXT PRIMARY KEY,
        sha256 TEXT NOT NULL
    );
    CREATE TABLE application (
        case_id TEXT PRIMARY KEY,
        request TEXT NOT NULL,
        state TEXT NOT NULL,
        applied_on TEXT NOT NULL,
        operation_from TEXT,
        gates TEXT NOT NULL
    );
    CREATE TABLE application_event (
        case_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        at TEXT NOT NULL,
        event TEXT NOT NULL,
        PRIMARY KEY (case_id, number)
    );
    CREATE TABLE convention (
        convention_id TEXT PRIMARY KEY,
        document TEXT NOT NULL
    );
    CREATE TABLE published (
        name TEXT PRIMARY KEY,
        document BLOB NOT NULL
    );
    """,
    OUTBOX_STEP,
    """
    CREATE TABLE member (
        number INTEGER PRIMARY KEY,
        path TEXT NOT NULL UNIQUE
    );
    CREATE TABLE reading (
        what TEXT NOT NULL,
        member TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (what, member)
    );
    CREATE TABLE probe (
        month TEXT NOT NULL,
        member TEXT NOT NULL,
        up BIGINT NOT NULL,
        asked BIGINT NOT NULL,
        PRIMARY KEY (month, member)
    );
    CREATE TABLE cost (
        month TEXT PRIMARY KEY,
        cents BIGINT NOT NULL
    );
    CREATE TABLE measure (
        member TEXT NOT NULL,
        measure TEXT NOT NULL,
        violations BIGINT NOT NULL,
        taken_at TEXT NOT NULL,
        proposed_order BLOB,
        PRIMARY KEY (member, measure)
    );
    """,
    OUTBOX_ENDS_STEP,
    MEMBERSHIP_STEP,
    COMMITMENTS_STEP,
)
