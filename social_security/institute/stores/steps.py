"""The institute's database: the steps of every part of it, in one list that only grows."""

from __future__ import annotations

from social_security.institute.announcing import ANNOUNCED_STEP
from social_security.institute.breach import BREACH_STEP
from social_security.institute.stores import persons
from social_security.institute.stores.admissions import ADMISSION_STEP, ADMISSION_TIMES_STEP
from social_security.institute.stores.arco import ARCO_STEP
from social_security.institute.stores.cases import (
    PORTABILITY_PRESENTED_STEP,
    PORTABILITY_STEP,
    PORTABILITY_TIMES_STEP,
)
from social_security.institute.stores.measures import MEASURE_STEP
from social_security.institute.stores.periods import HISTORY_STEP
from social_security.institute.stores.retirees import RETIREE_STEP
from social_security.institute.stores.rights import BLOCKED_STEP, OPPOSITION_STEP, RIGHTS_STEP
from social_security.institute.stores.vital import SAME_PERSON_STEP, VITAL_STEP
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
    *persons.STEPS,
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
    PORTABILITY_PRESENTED_STEP,
    SAME_PERSON_STEP,
)
