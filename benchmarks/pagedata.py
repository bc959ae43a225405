"""What `benchmarks.pages` fills a gateway and a central server with: operational records, a message log, management requests, a catalogue.

Ten million rows are written as SQL, for a program that wrote them one by one would take hours; their content is made up. Only the newest
`OPENED` records of a message log are sealed by its keys, as the gateway opens those and no others.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from gateway.messagelog.keys import TOKEN_PURPOSE, KeySecret, LogKeys
from gateway.messagelog.places import FolderPlace
from gateway.messagelog.record import sealed_label
from gateway.messagelog.sealing import NONCE_BYTES, seal
from gateway.monitoring.store import RecordStore
from gateway.settings.datafolder import DataFolder
from schemas import rest

if TYPE_CHECKING:
    from pathlib import Path

    from central_server.store.records import Records

WEEK_MS = 7 * 86_400_000
OPENED = 2_000
PROVIDER_PATH = "MX/GOB/00000/AFIL"
_NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?) "
_RECORD = (
    _NUMBERS
    + "INSERT INTO record (at, client, provider, fields) SELECT (? + n * ?) / 1000, printf('MX/GOB/%05d/AFIL', n % 200), ?, "
    'printf(\'{"serviceXRoadInstance":"MX","serviceMemberClass":"GOB","serviceMemberCode":"00000","serviceSubsystemCode":"AFIL",'
    '"clientXRoadInstance":"MX","clientMemberClass":"GOB","clientMemberCode":"%05d","clientSubsystemCode":"AFIL","serviceCode":"s%04d",'
    '"securityServerType":"Producer","requestInTs":%d,"responseOutTs":%d,"succeeded":%s,"messageId":"m%d"}\', '
    "n % 200, n % 1000, CAST(? + n * ? AS INTEGER), CAST(? + n * ? AS INTEGER) + n % 90, CASE n % 20 WHEN 0 THEN 'false' ELSE 'true' END, n) "
    "FROM numbers"
)
_LOGGED = (
    _NUMBERS
    + "INSERT INTO record (id, message_id, request_id, is_response, side, owner, client, service, protocol, message, "
    "signature, at_ms, chain, form, links, message_digest, is_reduced) SELECT n + 1, printf('m-%d', n / 2), printf('r-%d', n / 2), n % 2, "
    "'provider', ?, printf('MX/GOB/%05d/AFIL', n / 2 % 200), printf('%s/s%04d', ?, n / 2 % 1000), 'rest', zeroblob(96), zeroblob(64), "
    "CAST(? + n * ? AS INTEGER), zeroblob(32), 1, 2, zeroblob(64), 0 FROM numbers"
)


def fill_records(folder: Path, count: int) -> None:
    """So many operational records over the last week, one in twenty failed, each counted in its minute."""
    (folder / "log").mkdir(exist_ok=True)
    path = folder / "log" / "opmonitoring.sqlite"
    RecordStore(path, lambda: datetime.now(UTC)).close()
    begin, step = int(time.time() * 1000) - WEEK_MS, WEEK_MS / max(count, 1)
    with sqlite3.connect(path) as connection:
        # A database that is only just made: a crash leaves nothing that anybody needs.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("DROP INDEX record_at")
        connection.execute("DROP INDEX traffic_minute")
        connection.execute(_RECORD, [count, begin, step, PROVIDER_PATH, *[begin, step] * 2])
        connection.execute("CREATE INDEX record_at ON record (at)")
        every = max(count // 10_080, 1)
        connection.execute(
            _NUMBERS + "INSERT INTO traffic SELECT '', '', '', 'Producer', ? / 60000 + n, ?, ? FROM numbers",
            [10_080, begin, every - every // 20, every // 20],
        )
        # By service: each minute of as many services as the records would have filled.
        services = min(1_000, count // 10_080)
        connection.execute(
            "WITH RECURSIVE services(s) AS (SELECT 0 UNION ALL SELECT s + 1 FROM services WHERE s + 1 < ?), "
            "minutes(m) AS (SELECT 0 UNION ALL SELECT m + 1 FROM minutes WHERE m < 10079) "
            "INSERT INTO traffic SELECT ?, printf('s%04d', s), '', 'Producer', ? / 60000 + m, 1, 0 FROM services, minutes",
            [max(services, 1), PROVIDER_PATH, begin],
        )
        connection.execute("CREATE INDEX traffic_minute ON traffic (minute)")
    connection.close()


def fill_message_log(folder: Path, count: int, pin: str) -> None:
    """So many records of a message log over the last week, every second one an answer, all timestamped but the newest."""
    place = FolderPlace(DataFolder(folder).log)
    place.open().close()
    begin, step = int(time.time() * 1000) - WEEK_MS, WEEK_MS / max(count, 1)
    token = SoftToken(TokenFolder(folder / "token"))
    token.unlock(pin)
    keys = LogKeys(DataFolder(folder).message_log_keys)
    keys.open(KeySecret.of_token(token.derive_secret(TOKEN_PURPOSE)), may_make=True)
    token.close()
    request = rest.build_request(
        "GET",
        f"/r1/{PROVIDER_PATH}/s0001",
        [(rest.CLIENT, "MX/GOB/00001/AFIL")],
        instance="MX",
        new_id=lambda: "made-up",
    )
    answer = rest.build_response(200, "OK", [("content-type", "application/json")], request, "").raw
    first = max(count - OPENED, 0) + 1
    moments = [datetime.now(UTC)] * (count - first + 1)
    sealed = [
        (seal(key, secrets.token_bytes(NONCE_BYTES), answer, sealed_label(number, "message")), number)
        for number, key in enumerate(keys.new_keys(first, moments), first)
    ]
    keys.close()
    with sqlite3.connect(place.path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("DROP INDEX record_of_message")
        connection.execute(_LOGGED, [count, PROVIDER_PATH, PROVIDER_PATH, begin, step])
        connection.executemany("UPDATE record SET message = ? WHERE id = ?", sealed)
        connection.execute("CREATE INDEX record_of_message ON record (message_id)")
        connection.execute(
            "INSERT INTO stamp (id, token, at_ms, authority) VALUES (1, zeroblob(64), ?, 'TSA')", [begin]
        )
        connection.execute(
            _NUMBERS + "INSERT INTO stamped (record_id, stamp_id) SELECT n + 1, 1 FROM numbers", [count]
        )
        # Archived too, so that the gateway has no more to do with them than to show them.
        connection.execute(
            "INSERT INTO archive (id, group_name, digest, file_name, at_ms) VALUES (1, 'all', '', 'all.zip', ?)",
            [begin],
        )
        connection.execute(
            _NUMBERS + "INSERT INTO archived (record_id, archive_id) SELECT n + 1, 1 FROM numbers", [count]
        )
    connection.close()


def fill_requests(records: Records, count: int) -> None:
    """So many approved requests of servers for their clients, and ten that wait; in a change."""
    records.rows(
        _NUMBERS.replace("?", str(count))
        + "INSERT INTO management_request (type, origin, status, server, client, made_by, created_at, updated_at) "
        "SELECT 'CLIENT_REGISTRATION_REQUEST', 'SECURITY_SERVER', CASE WHEN n < 10 THEN 'WAITING' ELSE 'APPROVED' END, "
        "printf('MX/GOB/%05d/SS0', n % 8000), printf('MX/GOB/%05d/AFIL', n % 8000), 'ana', ?, ? FROM numbers",
        records.at,
        records.at,
    )


def fill_catalogue(records: Records, count: int) -> None:
    """So many described services of as many members; in a change."""
    for table, columns, values in (
        (
            "described_service",
            "id, service, client, type, title, summary, data_sets, purposes, words, first_seen, last_seen",
            "n + 1, printf('MX/GOB/%05d/AFIL/s%04d', n, n), printf('MX/GOB/%05d/AFIL', n), 'OPENAPI3', printf('Servicio %d', n), "
            "'Vigencia de derechos', '[\"afiliación\"]', '[\"trámite\"]', 'vigencia derechos', ?, ?",
        ),
        (
            "service_version",
            "service_id, number, digest, media_type, raw, seen_at",
            f"n + 1, 1, printf('%d', n), 'application/json', CAST('{_DESCRIPTION}' AS BLOB), ?",
        ),
    ):
        marks = [records.at] * values.count("?")
        numbers = _NUMBERS.replace("?", str(count))
        records.rows(f"{numbers} INSERT INTO {table} ({columns}) SELECT {values} FROM numbers", *marks)


_DESCRIPTION = (
    '{"openapi": "3.0.3", "info": {"title": "Vigencia", "version": "1"}, "paths": {"/personas/{id}": {"get": {"summary": "Una persona", '
    '"responses": {"200": {"description": "vigente", "content": {"application/json": {"example": {"vigente": true}}}}}}}}}'
)
