"""The registry officer's part: records under review, merges that stand, decisions signed elsewhere, levels raised by evidence.

Only the registry's own member asks. A record is shown by what the registry holds of it without telling who she is: the
institutes that know her, each with its own PID, her level, whether she has a CURP. Every look and every act is in the access
log of each person it touched. An officer's private key never comes here: she signs the shown statement on her own machine.

Spec: the domain reference 5.2, 5.7; F04, F38, S13.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from social_security.domain.faults import DomainError, concerning
from social_security.domain.pseudonyms import Rid, parse_pid
from social_security.registry.merging import verify_decision
from social_security.registry.store import Evidence
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from social_security.registry.store import RegistryStore

PAGE: Final = 50
_BOTH: Final = 2


class ReviewingRegistry(Protocol):
    """The registry as its officers' operations need it: which member it is, its store, the access log of whom they touch."""

    @property
    def member(self) -> str:
        """The registry's own path, as ``MX/GOB/00-RNSS``."""
        ...

    @property
    def store(self) -> RegistryStore:
        """The database of the national registry."""
        ...

    def note_accesses(self, request: DomainRequest, rids: Sequence[Rid], categories: tuple[str, ...]) -> None:
        """Append a row to the access log of each person whose record a request used."""
        ...


def list_reviews(registry: ReviewingRegistry, request: DomainRequest) -> DomainAnswer:
    """``listarRevisiones``: what waits for an officer, and the merges that may be undone, each with the statements she would sign."""
    _check_own(registry, request)
    store, officer = registry.store, _officer(request)
    first = int(request.body.get("desdeFila", 0))
    waiting = open_reviews(store)
    shown = waiting[first : first + PAGE]
    merges = effective_merges(store)[:PAGE]
    touched = dict.fromkeys(r for pair in (*shown, *((a, b) for _, a, b, _ in merges)) for r in pair)
    registry.note_accesses(request, list(touched), ("identidad",))
    return DomainAnswer(
        {
            "total": len(waiting),
            "revisiones": [_review(store, officer, one, other) for one, other in shown],
            "uniones": [
                {
                    "union": number,
                    "el": at,
                    "registros": [_record(store, rid), _record(store, other)],
                    "declaracion": store.decision("SEPARACION", officer, rid, other).decode(),
                }
                for number, rid, other, at in merges
            ],
        },
        categories=("identidad",),
    )


def resolve_review(registry: ReviewingRegistry, request: DomainRequest) -> DomainAnswer:
    """``resolverRevision``: carry out an officer's decision whose signature verifies with the key the registry holds of her.

    Raises SS-210 for another member, SS-300 for what no longer waits, SS-400 for a decision that cannot be, SS-202 for a wrong signature.
    """
    _check_own(registry, request)
    body, store, officer = request.body, registry.store, _officer(request)
    act = body["acto"]
    if act == "SEPARACION":
        merge = next((m for m in effective_merges(store) if m[0] == body.get("union")), None)
        if merge is None:
            raise DomainError("SS-300", "no hay tal unión vigente", "no such merge stands", field="union")
        records = [merge[1], merge[2]]
    else:
        records = _under_review(store, body.get("revision", ""))
        if act == "FUSION" and body.get("permanece", 1) == _BOTH:
            records.reverse()
    _verify(store, officer, body["firma"], store.decision(act, officer, *records))
    answer: dict[str, Any] = {"acto": act}
    try:
        if act == "FUSION":
            number = store.merge(records[0], records[1], officer, body["firma"], request.now)
            answer |= {"union": number, "avisados": len(store.linked(records[0]))}
        elif act == "DISTINTAS":
            store.distinct(records[0], records[1], officer, body["firma"])
        else:
            store.unmerge(body["union"], officer, body["firma"], request.now)
            answer["avisados"] = len({m for r in records for m in store.linked(r)})
    except ValueError as err:
        raise DomainError("SS-400", f"no se hizo: {err}", f"nothing was done: {err}", field="acto") from err
    registry.note_accesses(request, records, ("identidad",))
    return DomainAnswer(answer, categories=("identidad",))


def raise_level(registry: ReviewingRegistry, request: DomainRequest) -> DomainAnswer:
    """``elevarNivel``: a person's level rises by evidence that an institute has seen. Raises SS-300, or SS-400 when it would not rise."""
    _check_own(registry, request)
    body, store = request.body, registry.store
    person = store.find_by_pid(body["miembro"], parse_pid(body["pid"]))
    if person is None:
        raise DomainError("SS-300", field="pid")
    seen = body["evidencia"]
    evidence = Evidence(seen["tipo"], seen["emisor"], seen["sha256"])
    with concerning(person.rid):
        try:
            store.raise_level(person.rid, int(body["nivel"][3:]), evidence, request.today)
        except ValueError as err:
            raise DomainError(
                "SS-400",
                "ya tiene ese nivel o uno mayor",
                "the level is that one or higher already",
                field="nivel",
            ) from err
    return DomainAnswer({"nivel": body["nivel"]}, categories=("identidad",), subject=person.rid)


def open_reviews(store: RegistryStore) -> list[tuple[Rid, Rid]]:
    """The pairs of records that wait for an officer, in a steady order."""
    rows = store.database.query("SELECT rid, other FROM review WHERE decided_by IS NULL ORDER BY rid, other")
    return [(Rid(bytes(one)), Rid(bytes(other))) for one, other in rows]


def effective_merges(store: RegistryStore) -> list[tuple[int, Rid, Rid, str]]:
    """The merges that have not been undone, newest first: number, the record that stayed, the absorbed one, when."""
    rows = store.database.query(
        "SELECT id, rid, other, at FROM merged WHERE undone_at IS NULL ORDER BY id DESC"
    )
    return [(int(n), Rid(bytes(rid)), Rid(bytes(other)), str(at)) for n, rid, other, at in rows]


def _review(store: RegistryStore, officer: str, one: Rid, other: Rid) -> dict[str, Any]:
    return {
        "revision": _reference(store, one, other),
        "registros": [_record(store, one), _record(store, other)],
        "declaraciones": {
            "FUSION-1": store.decision("FUSION", officer, one, other).decode(),
            "FUSION-2": store.decision("FUSION", officer, other, one).decode(),
            "DISTINTAS": store.decision("DISTINTAS", officer, one, other).decode(),
        },
    }


def _record(store: RegistryStore, rid: Rid) -> dict[str, Any]:
    """A record's level, vital state, links and evidence for the reviewing officer; nothing that identifies the person."""
    ((level, vital, has_curp),) = store.database.query(
        "SELECT level, vital_state, curp_cipher IS NOT NULL FROM person WHERE rid = ?", (rid,)
    )
    links = store.database.query(
        "SELECT p.member, p.pid, l.since, l.until, coalesce(l.has_history, 0) FROM pseudonym p LEFT JOIN link l "
        "ON l.member = p.member AND l.pid = p.pid WHERE p.rid = ? ORDER BY p.member, p.pid",
        (rid,),
    )
    seen = store.database.query(
        "SELECT type, issuer, at FROM evidence WHERE rid = ? ORDER BY at, type", (rid,)
    )
    return {
        "nivel": f"LOA{level}",
        "estadoVital": vital,
        "tieneCurp": bool(has_curp),
        "institutos": [
            {"miembro": m, "pid": pid, "desde": since, "hasta": until, "historia": bool(history)}
            for m, pid, since, until, history in links
        ],
        "evidencias": [{"tipo": kind, "emisor": issuer, "el": at} for kind, issuer, at in seen],
    }


def _reference(store: RegistryStore, one: Rid, other: Rid) -> str:
    """The name of a review: a keyed digest of both records in their order."""
    return hashlib.sha256(store.decision("REVISION", "", one, other)).hexdigest()[:32]


def _under_review(store: RegistryStore, reference: str) -> list[Rid]:
    found = next((p for p in open_reviews(store) if _reference(store, *p) == reference), None)
    if found is None:
        raise DomainError(
            "SS-300", "esa revisión ya no está abierta", "that review is no longer open", field="revision"
        )
    return list(found)


def _officer(request: DomainRequest) -> str:
    """The officer's local id, by which the registry holds her key."""
    return request.context.user.rpartition(":")[2]


def _verify(store: RegistryStore, officer: str, signature: str, signed: bytes) -> None:
    key = store.officer_key(officer)
    if key is None:
        raise DomainError(
            "SS-210",
            f"el registro no tiene llave de {officer}: officer add-officer",
            f"the registry holds no key of {officer}: officer add-officer",
            field="firma",
        )
    try:
        verify_decision(key, signature, signed)
    except ValueError as err:
        raise DomainError(
            "SS-400",
            "la firma no es de esta oficial sobre esta declaración",
            "the signature is not this officer's over this statement",
            field="firma",
        ) from err


def _check_own(registry: ReviewingRegistry, request: DomainRequest) -> None:
    if request.context.member != registry.member:
        raise DomainError("SS-210", "sólo oficiales del registro", "officers of the registry only")
