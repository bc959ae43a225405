"""The institute's database: the steps of every part of it, in one list that only grows."""

from __future__ import annotations

from social_security.institute import store
from social_security.institute.announcing import ANNOUNCED_STEP
from social_security.institute.arcostore import ARCO_STEP
from social_security.institute.breach import BREACH_STEP
from social_security.institute.external import ADMISSION_STEP, ADMISSION_TIMES_STEP
from social_security.institute.history import HISTORY_STEP
from social_security.institute.measures import MEASURE_STEP
from social_security.institute.portability import PORTABILITY_STEP, PORTABILITY_TIMES_STEP
from social_security.institute.publication import RETIREE_STEP
from social_security.institute.rights import BLOCKED_STEP, OPPOSITION_STEP, RIGHTS_STEP
from social_security.institute.vital import VITAL_STEP
from social_security.wire.gatewayrefusals import REFUSALS_STEP
from social_security.wire.outbox import OUTBOX_ENDS_STEP, OUTBOX_STEP

IMPORT_STEP = """
    CREATE TABLE import_progress (
        file_sha256 TEXT NOT NULL,
        kind TEXT NOT NULL,
        rows_read BIGINT NOT NULL,
        finished_at TEXT,
        PRIMARY KEY (file_sha256, kind)
    );
"""
STEPS = (
    *store.STEPS,
    HISTORY_STEP,
    PORTABILITY_STEP,
    RIGHTS_STEP,
    ARCO_STEP,
    ADMISSION_STEP,
    VITAL_STEP,
    OUTBOX_STEP,
    PORTABILITY_TIMES_STEP,
    ADMISSION_TIMES_STEP,
    RETIREE_STEP,
    REFUSALS_STEP,
    OPPOSITION_STEP,
    MEASURE_STEP,
    BREACH_STEP,
    BLOCKED_STEP,
    OUTBOX_ENDS_STEP,
    IMPORT_STEP,
    ANNOUNCED_STEP,
)
