"""Variations about persons, the registry and members: V01 to V04, V21 to V27."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner

from benchmarks.scenarios.acts import (
    AFFILIATION_ANALYST,
    CURPS,
    IPE,
    ISSEMYM,
    MEMBERS,
    PERSON,
    PIDS,
    SONORA,
    SYSTEM,
    Acts,
)
from social_security.__main__ import main as social_command
from social_security.commands.seed import rid_of
from social_security.domain import pack
from social_security.domain.curp import parse_curp
from social_security.domain.faults import InputError

GATE = {"resultado": "APROBADA", "evidenciaSha256": "a" * 64, "resueltoPor": "oniess:op-1"}


async def v01(a: Acts) -> None:
    """Who has only looked a person up declares nobody dead, and is not told of her death"""
    self_pid = a.done(await a.look_up(IPE, "jose-teodoro"), "the look-up")["pid"]
    a.refused(await a.vital(IPE, self_pid, "FALLECIMIENTO", "2024-02-29"), "SS-210", "a death by who looked")
    a.refused(
        await a.vital(SONORA, PIDS["jose-teodoro"][SONORA], "FALLECIMIENTO", "2024-02-29", acta=None),
        "SS-100", "a death without its act",
    )  # fmt: skip
    await a.c.settle()
    a.expect(a.state_of(SONORA, "jose-teodoro") == "BAJA", "he lives")
    a.done(
        await a.vital(SONORA, PIDS["jose-teodoro"][SONORA], "FALLECIMIENTO", "2024-02-29"),
        "his institute's word",
    )
    await a.c.settle()
    a.expect(MEMBERS[IPE] not in a.c.registry.store.linked(rid_of("jose-teodoro")), "a look-up links nobody")
    a.expect(a.c.institutes[IPE].vital.died(self_pid) is None, "who looked is not told")


async def v02(a: Acts) -> None:
    """Records merged, parted and merged the other way keep every institute's pseudonym, and its deaths"""
    store = a.c.registry.store
    first, second = rid_of("maria-ines"), rid_of("jose-teodoro")
    number = store.merge(first, second, "of-1", "00", a.c.now)
    store.unmerge(number, "of-2", "11", a.c.now)
    store.merge(second, first, "of-1", "22", a.c.now)
    for code, who in ((IPE, "maria-ines"), (SONORA, "jose-teodoro"), (SONORA, "maria-ines")):
        found = store.find_by_pid(MEMBERS[code], PIDS[who][code])  # type: ignore[arg-type]
        a.expect(found is not None and found.rid == second, f"{code} finds {who} by the PID that it has")
    a.done(
        await a.vital(IPE, PIDS["maria-ines"][IPE], "FALLECIMIENTO", "2026-02-28"), "a death after the merge"
    )
    await a.c.settle()
    a.expect(a.state_of(SONORA, "jose-teodoro") == "FALLECIDA", "an institute of the other record is told")


async def v03(a: Acts) -> None:
    """Another person's event is annulled by nobody, and one's own only by who reported it"""
    report = a.done(
        await a.vital(IPE, PIDS["maria-ines"][IPE], "FALLECIMIENTO", "2026-02-28", idEvento=_event(1)),
        "a death",
    )
    a.expect(report["aplicado"], "it is applied")
    for code, who in ((ISSEMYM, "ana"), (SONORA, "maria-ines"), (IPE, "ana")):
        response = await a.vital(code, PIDS[who][code], "ANULACION", "2026-03-01", anula=_event(1))
        a.expect(not response.is_done, f"{code} annuls for {who}: {response.body}")
    await a.c.settle()
    a.expect(a.state_of(SONORA, "maria-ines") == "FALLECIDA", "it stands")
    a.done(
        await a.vital(IPE, PIDS["maria-ines"][IPE], "ANULACION", "2026-03-01", anula=_event(1)),
        "her institute",
    )
    await a.c.settle()
    a.expect(a.state_of(IPE, "maria-ines") == "PENSIONADA", "she has her former state again")


async def v04(a: Acts) -> None:
    """One id is one event of its sender: twice is once, for another person or day it is refused"""
    same = {"idEvento": _event(7)}
    for _ in range(2):
        a.done(
            await a.vital(SONORA, PIDS["ana"][SONORA], "FALLECIMIENTO", "2026-02-27", **same), "twice is once"
        )
    for who, day in (("jose-teodoro", "2026-02-27"), ("ana", "2026-02-26")):
        a.refused(
            await a.vital(SONORA, PIDS[who][SONORA], "FALLECIMIENTO", day, **same), "SS-402", f"{who} {day}"
        )
    a.done(
        await a.vital(IPE, PIDS["maria-ines"][IPE], "FALLECIMIENTO", "2026-02-27", **same), "another sender's"
    )


async def v21(a: Acts) -> None:
    """A CURP that leads to another record is not given: the register stays as it was, and both can go under review"""
    store, today = a.c.registry.store, a.c.now.date()
    for giver, taken in (("ana", "maria-ines"), ("maria-ines", "saul"), ("saul", "ana")):
        try:
            store.correct_curp(rid_of(giver), parse_curp(CURPS[taken], today))
            a.expect(False, f"{giver} was given {taken}'s CURP")
        except InputError as err:
            holder = store.holder_of(parse_curp(CURPS[taken], today))
            a.expect((err.subject, holder) == ("curp", rid_of(taken)), f"the CURP is {taken}'s")
            store.note_review(rid_of(giver), holder)
    for who in ("ana", "maria-ines", "saul"):
        found = store.find_by_curp(parse_curp(CURPS[who], today))
        a.expect(found is not None and found.rid == rid_of(who), f"{who} has her own still")
        a.expect(
            (await a.look_up(IPE, who)).body == {"resultado": "NO_CONCLUYENTE"}, f"{who} is under review"
        )


async def v22(a: Acts) -> None:
    """A member that does not exist is refused before anything is written"""
    folder = str(a.c.folder / "00-RNSS")
    before = a.c.registry.store.database.query("SELECT count(*) FROM person")
    for member in ("23-ISSQROO", "99-NADIE", "", "15-issemym", "15-ISSEMYM/AFIL"):
        words = ["officer", "enrol", "--data", folder, "--member", member, "--level", "1"]
        done = CliRunner().invoke(social_command, words, input="\n")
        a.expect(
            (done.exit_code == 1 and "no member's code" in done.output) or "no es" in done.output,
            f"{member}: {done.output}",
        )
        a.expect(
            done.exception is None or isinstance(done.exception, SystemExit), f"{member}: {done.exception!r}"
        )
    a.expect(a.c.registry.store.database.query("SELECT count(*) FROM person") == before, "nobody is enrolled")


async def v23(a: Acts) -> None:
    """Gates are ONIESS's alone, of their own day, and a code is given once"""
    case, body = "ALTA-14-2026-00000001", {
        "nombre": "Instituto", "entidad": "14", "clasePropuesta": "GOB", "codigoPropuesto": "14-IPEJAL",
        "fundamentoCreacion": "Ley", "subsistemas": ["AFIL"],
        "contactos": [{"rol": r, "correo": "x@example.mx"} for r in pack.codes()["contact_roles"]],
    }  # fmt: skip
    a.done(await _onboard(a, "solicitarAlta", body, case), "the application")
    a.refused(await _onboard(a, "solicitarAlta", body, "ALTA-14-2026-00000002"), "SS-205", "the code again")
    taken = body | {"codigoPropuesto": "30-IPE", "entidad": "30"}
    a.refused(await _onboard(a, "solicitarAlta", taken, "ALTA-30-2026-00000001"), "SS-205", "a member's code")
    for filed in ("2020-02-29", "2026-03-01", "2027-03-02"):
        response = await _onboard(a, "resolverCompuerta", GATE | {"presentadaEl": filed}, case, "impacto")
        a.refused(response, "SS-601", filed, "presentadaEl")
    for by in (SONORA, "00-RNSS", "30-GARANTE"):
        response = await _onboard(a, "resolverCompuerta", GATE, case, "documentos", by=by)
        a.refused(response, "SS-210", by)
    for day in ("2027-03-02", "2026-03-01", "2026-03-03"):
        a.refused(await _onboard(a, "activarAlta", {"fecha": day}, case), "SS-600", day)


async def v24(a: Acts) -> None:
    """Coverage is of 22 and 32 with its source, and nothing is counted that nobody told"""
    response = await a.c.carry("00-ONIESS", "GET", "/indicadores?periodo=2026-02", {}, None)
    rows = {r["id"]: r for r in response.body["filas"]}
    a.expect((rows["IND-01"]["numerador"], rows["IND-01"]["denominador"]) == (3, 22), f"{rows['IND-01']}")
    a.expect("32" in rows["IND-01"]["fuente"], "of 32 states")
    a.expect(rows["IND-13"]["numerador"] is None, "no invented counts")


async def v25(a: Acts) -> None:
    """Look-ups at the registry are in the person's log, whichever institute she asks through, and nobody else's are"""
    for code in (SONORA, IPE, SONORA):
        a.done(await a.look_up(code, "ana"), code)
    a.done(await a.look_up(IPE, "maria-ines"), "another person")
    for code in (ISSEMYM, IPE):
        response = await a.c.ask(
            f"{code}/BITACORA", "00-RNSS", "findUsage", {"pid": PIDS["ana"][code]}, "PUR-BITACORA",
            f"CONS-{code[:2]}-2026-00000001", PERSON,
        )  # fmt: skip
        lookers = [u["receiverCode"] for u in a.done(response, code)["usages"]]
        a.expect(lookers.count(MEMBERS[SONORA]) == 2, f"through {code}: {lookers}")


async def v26(a: Acts) -> None:
    """A suspended member asks nothing but the persons' own rights, and a reference without CURP ends on its day"""
    change = {"miembro": MEMBERS[SONORA], "estado": "SUSPENDIDA", "fecha": "2026-03-02", "evidenciaSha256": "a" * 64,
              "motivo": "Por lo que resolvió el consejo."}  # fmt: skip
    for day in ("2026-02-28", "2026-03-03"):
        a.refused(
            await _onboard(a, "cambiarMembresia", change | {"fecha": day}, "ALTA-26-2026-00000001"),
            "SS-404",
            day,
        )
    a.done(await _onboard(a, "cambiarMembresia", change, "ALTA-26-2026-00000001"), "the suspension")
    for _ in range(3):
        await a.c.oniess.outbox.send()
    a.refused(await a.look_up(SONORA, "ana"), "SS-603", "a suspended member's look-up")
    mine = await a.c.ask(
        f"{SONORA}/BITACORA", "00-RNSS", "findUsage", {"pid": PIDS["ana"][SONORA]}, "PUR-BITACORA",
        "CONS-26-2026-00000001", PERSON,
    )  # fmt: skip
    a.done(mine, "her own log")
    nobody = await a.vital(SONORA, PIDS["jose-teodoro"][SONORA], "FALLECIMIENTO", "2026-02-28")
    a.expect(not nobody.is_done, "nor declares anybody dead")


async def v27(a: Acts) -> None:
    """Reversed ranges, days to come, members and characters that are none are refused with a cause at every entrance"""
    entry = {"pid": PIDS["ana"][IPE], "historia": True}
    for days in (
        {"desde": "2026-03-03"},
        {"desde": "2001-02-28", "hasta": "2000-02-29"},
        {"desde": "0001-01-01"},
    ):
        response = await a.c.ask(
            f"{IPE}/AFIL", "00-RNSS", "registrarVinculos", {"vinculos": [entry | days]}, "PUR-AFIL",
            "CONS-30-2026-00000001", AFFILIATION_ANALYST,
        )  # fmt: skip
        a.refused(response, "SS-103", str(days))
    for destination in ("MX/GOB/99-NADIE", "MX/GOB/23-ISSQROO"):
        response = await a.c.ask(
            f"{IPE}/PORT", "00-RNSS", "traducirPid", {"pid": PIDS["ana"][IPE], "destino": destination}, "PUR-PORT",
            "PORT-30-2026-00000001", SYSTEM,
        )  # fmt: skip
        a.refused(response, "SS-300", destination)
    for text in ("Corrijan\x00", "a\x1bb", "\ud800", "fin\uffff"):
        a.refused(
            (await a.file(SONORA, "ana", "ACCESO", descripcion=text))[1], "SS-100", repr(text), "descripcion"
        )
    a.refused(
        await a.history(IPE, "ana", desde="2026-01-01", hasta="2025-01-01"), "SS-103", "a reversed range"
    )


def _event(number: int) -> str:
    return f"3a9f1c52-0000-4000-8000-{number:012d}"


async def _onboard(
    a: Acts, operation: str, body: dict[str, Any], case: str, gate: str = "", by: str = "00-ONIESS"
) -> Any:
    return await a.c.ask(f"{by}/ALTA", "00-ONIESS", operation, body, "PUR-ALTA", case, "OPERADOR_ALTA", gate)
