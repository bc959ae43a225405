"""S11 to S13: an external beneficiary, a vital event and its annulment, and nobody left out."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.calls import Call
from benchmarks.scenarios.rights import query
from benchmarks.scenarios.stage import Stage, curp_of, pid_of

EVIDENCE = ["a" * 64, "b" * 64]
ACT = {"numero": "DEF-2026-00412", "oficialia": "30-087 Xalapa 01", "fecha": "2026-05-03"}


def ext(case: str, role: str = "ANALISTA_AFILIACION") -> Call:
    """The context of an admission."""
    return Call("PUR-EXT", case, role, "Admisión de beneficiario externo")


class Admission:
    """One application at one institute."""

    def __init__(self, stage: Stage, case: str, code: str, pid: str) -> None:
        self._stage = stage
        self.case = case
        self.code = code
        self.pid = pid

    def apply(self, origin: str = "MUNICIPIO", benefit: str = "VEJEZ") -> Any:
        """Apply; the answer."""
        body = {
            "pid": self.pid,
            "origen": {"tipo": origin, "clave": "MX/EXT/22-MQRO"},
            "evidencias": [{"tipo": "CONSTANCIA", "sha256": h, "emisor": "22-MQRO"} for h in EVIDENCE],
            "beneficio": benefit,
        }
        return self._stage.ask(f"{self.code}/EXTERNOS", self.code, "solicitarAdmision", body, ext(self.case))

    def advance(self, state: str, **more: Any) -> Any:
        """The institute's next step; the answer."""
        body = {"estado": state, **more}
        return self._stage.ask(
            f"{self.code}/EXTERNOS", self.code, "avanzarAdmision", body, ext(self.case), caso=self.case
        )


def _is_deceased(stage: Stage, code: str, sql: str) -> bool:
    return query(stage, code, sql) == [("FALLECIDA",)]


def s11(stage: Stage) -> None:
    """External beneficiary."""
    stage.at("2026-04-20T10:00:00-06:00")
    case = "EXT-14-2026-00000001"
    why = Call("PUR-IDENT", case, "ANALISTA_AFILIACION", "Admisión")
    found = stage.ask(
        "14-IPEJAL/EXTERNOS",
        "00-RNSS",
        "buscarBeneficiario",
        {"curp": curp_of("saul"), "atributos": ["nivel"]},
        why,
    )
    pid = pid_of("saul", "14-IPEJAL")
    stage.expect(
        found.body == {"resultado": "COINCIDE", "pid": pid, "nivel": "LOA2"}, f"identity: {found.body}"
    )
    admission = Admission(stage, case, "14-IPEJAL", pid)
    received = stage.done(admission.apply(), "solicitarAdmision")
    stage.expect(received["fechaLimite"] == "2026-05-20", f"decision due {received['fechaLimite']}")
    stage.done(admission.advance("VERIFICANDO_IDENTIDAD"), "identity")
    changed = admission.advance(
        "VERIFICANDO_ORIGEN", evidencias=[{"sha256": EVIDENCE[0], "archivo": "c" * 64}]
    )
    stage.refused(changed, "SS-100", "an evidence hash that is not the file's")
    good = [{"sha256": h, "archivo": h} for h in EVIDENCE]
    stage.done(admission.advance("VERIFICANDO_ORIGEN", evidencias=good), "origin")
    testigo = stage.token("14-IPEJAL/EXTERNOS", pid, "22-MQRO", ext(case))
    period = {"testigo": testigo, "desde": "2004-09-01", "hasta": "2019-06-30"}
    reply = stage.ask("14-IPEJAL/EXTERNOS", "22-MQRO", "confirmarPeriodo", period, ext(case))
    stage.expect(
        stage.done(reply, "confirmarPeriodo")
        == {"confirmado": True, "dias": 5416, "semanas": 773, "diasRestantes": 5},
        f"the municipality confirms: {reply.body}",
    )
    stage.prove([reply])
    decided = stage.done(admission.advance("ADMITIDA", dias=5416), "ADMITIDA")
    stage.expect(decided["recibo"]["lawful_basis"] == "mx:LGPDPPSO-16-I", "the person gets a receipt")
    stage.prove()
    _second(stage, case)
    _provisional(stage, pid)


def _second(stage: Stage, first: str) -> None:
    why = Call("PUR-IDENT", "EXT-30-2026-00000001", "ANALISTA_AFILIACION", "Admisión")
    stage.ask("30-IPE/EXTERNOS", "00-RNSS", "buscarBeneficiario", {"curp": curp_of("saul")}, why)
    twice = Admission(stage, "EXT-30-2026-00000001", "30-IPE", pid_of("saul", "30-IPE")).apply()
    stage.refused(twice, "SS-205", "the same benefit in another state")
    stage.expect(first in twice.body.get("mensaje", ""), f"the first case is named: {twice.body}")
    before = query(stage, "30-IPE", "SELECT count(*) FROM admission")
    stage.expect(before == [(0,)], "and nothing changed at the second institute")


def _provisional(stage: Stage, pid: str) -> None:
    stage.at("2026-04-20T10:00:00-06:00")
    waiting = Admission(stage, "EXT-14-2026-00000002", "14-IPEJAL", pid)
    stage.done(waiting.apply(benefit="SERVICIO_MEDICO"), "another benefit")
    stage.done(waiting.advance("VERIFICANDO_IDENTIDAD"), "identity")
    stage.done(waiting.advance("VERIFICANDO_ORIGEN"), "origin, which stays silent")
    stage.at("2026-05-06T10:00:00-06:00")
    admitted = stage.done(waiting.advance("ADMITIDA_PROVISIONAL"), "provisional")
    stage.expect(admitted["fechaLimite"] == "2026-08-04", f"for 90 days: {admitted['fechaLimite']}")
    stage.at("2026-08-05T00:30:00-06:00")
    rows = "SELECT state FROM admission WHERE case_id = 'EXT-14-2026-00000002'"
    stage.wait("it lapses visibly", lambda: query(stage, "14-IPEJAL", rows) == [("CADUCADA",)])


def _published(stage: Stage, names: list[str]) -> None:
    """The list of retirees, which the law makes public: names and amounts, and nothing else."""
    read = stage.country.send("15-ISSEMYM/AFIL", "MX/GOB/00-ONIESS/GOBIERNO", "GET", "/jubilados")
    rows = read.body.get("jubilados", [])
    stage.expect([r["nombre"] for r in rows] == names, f"retirees in payment: {read.body}")
    stage.expect(
        all(set(r) == {"instituto", "nombre", "montoCentavos"} for r in rows), "names and amounts only"
    )


def s12(stage: Stage) -> None:
    """Vital event and survivors."""
    stage.at("2026-05-04T10:00:00-06:00")
    _published(stage, ["María Inés Ñandú Ensayo"])
    event, pid = str(uuid.uuid4()), pid_of("maria-ines", "30-IPE")
    why = Call("PUR-VITAL", "CONS-30-2026-00000012", "ANALISTA_AFILIACION", "Aviso de fallecimiento")
    death = {"idEvento": event, "pid": pid, "tipo": "FALLECIMIENTO", "fechaEvento": "2026-05-02", "acta": ACT}
    early = stage.ask(
        "30-IPE/VITAL", "00-RNSS", "notificarEvento", death | {"fechaEvento": "1950-01-01"}, why
    )
    stage.refused(early, "SS-103", "a death before the birth")
    stage.expect(
        query(stage, "00-RNSS", "SELECT count(*) FROM outbox WHERE body LIKE '%1950%'") == [(0,)],
        "which changes nothing",
    )
    _strangers(stage, death, why)
    report = stage.ask("30-IPE/VITAL", "00-RNSS", "notificarEvento", death, why)
    stage.done(report, "the death is reported")
    stage.prove([report])
    state = "SELECT state FROM affiliation WHERE pid = '{}'"
    for code in ("30-IPE", "26-ISSSTESON"):
        sql = state.format(pid_of("maria-ines", code))
        stage.wait(f"{code} applies it", partial(_is_deceased, stage, code, sql))
    _published(stage, [])
    stops = query(stage, "30-IPE", f"SELECT since, until FROM payment_stop WHERE pid = '{pid}'")
    stage.expect(stops == [("2026-05-02", None)], "IPE stops payments and opens the survivors' case")
    again = stage.ask("30-IPE/VITAL", "00-RNSS", "notificarEvento", death, why)
    stage.expect(stage.done(again, "again") == {"aplicado": True}, "a second report is already applied")
    sent = query(
        stage, "00-RNSS", f"SELECT member, count(*) FROM outbox WHERE notice_id = '{event}' GROUP BY member"
    )
    stage.expect({n for _, n in sent} == {1}, f"each institute is told once: {sent}")
    ask = Call("PUR-AFIL", "CONS-30-2026-00000013", "ANALISTA_AFILIACION", "Verificar afiliación")
    testigo = {"testigo": stage.token("30-IPE/AFIL", pid, "26-ISSSTESON", ask)}
    stage.refused(
        stage.ask("30-IPE/AFIL", "26-ISSSTESON", "consultarAfiliacion", testigo, ask),
        "SS-302",
        "asking about her",
    )
    _contradicted(stage, death, why)
    stage.at("2026-05-20T10:00:00-06:00")
    annulled = {
        "idEvento": str(uuid.uuid4()),
        "pid": pid,
        "tipo": "ANULACION",
        "fechaEvento": "2026-05-20",
        "anula": event,
    }
    stage.done(stage.ask("30-IPE/VITAL", "00-RNSS", "notificarEvento", annulled, why), "the notice was wrong")
    stage.prove()
    stage.wait(
        "IPE restores the pension", lambda: query(stage, "30-IPE", state.format(pid)) == [("PENSIONADA",)]
    )
    owed = query(stage, "30-IPE", f"SELECT since, until FROM payment_stop WHERE pid = '{pid}'")
    stage.expect(owed == [("2026-05-02", "2026-05-20")], f"and lists what is owed: {owed}")


def _strangers(stage: Stage, death: dict[str, Any], why: Call) -> None:
    """An institute that only looked her up reports nothing of her, and nobody without the civil registry's act."""
    bare = {k: v for k, v in death.items() if k != "acta"}
    stage.refused(
        stage.ask("30-IPE/VITAL", "00-RNSS", "notificarEvento", bare, why),
        "SS-100",
        "a death without its act",
    )
    look = Call("PUR-IDENT", "CONS-15-2026-00000014", "ANALISTA_AFILIACION", "Verificar identidad")
    found = stage.ask(
        "15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": curp_of("maria-ines")}, look
    )
    other = death | {"pid": found.body.get("pid", ""), "idEvento": str(uuid.uuid4())}
    stranger = stage.ask("15-ISSEMYM/VITAL", "00-RNSS", "notificarEvento", other, why)
    stage.refused(stranger, "SS-210", "an institute that only looked her up")


def _contradicted(stage: Stage, death: dict[str, Any], why: Call) -> None:
    """Another date opens a case and overwrites nothing; her event's id is nobody else's."""
    theirs = {"pid": pid_of("maria-ines", "26-ISSSTESON"), "idEvento": str(uuid.uuid4())}
    second = stage.ask(
        "26-ISSSTESON/VITAL",
        "00-RNSS",
        "notificarEvento",
        death | theirs | {"fechaEvento": "2026-05-01"},
        why,
    )
    answer = stage.done(second, "a second date")
    stage.expect(not answer["aplicado"] and answer["caso"].startswith("CONS-00-"), f"opens a case: {answer}")
    reused = death | {"pid": pid_of("ana", "30-IPE")}
    stage.refused(
        stage.ask("30-IPE/VITAL", "00-RNSS", "notificarEvento", reused, why),
        "SS-402",
        "her event's id for Ana",
    )
    wrong = {
        "idEvento": str(uuid.uuid4()),
        "pid": pid_of("ana", "30-IPE"),
        "tipo": "ANULACION",
        "fechaEvento": "2026-05-04",
        "anula": death["idEvento"],
    }
    stage.refused(
        stage.ask("30-IPE/VITAL", "00-RNSS", "notificarEvento", wrong, why), "SS-400", "annulled for Ana"
    )


def s13(stage: Stage) -> None:
    """Inclusion."""
    stage.at("2026-04-20T10:00:00-06:00")
    why = Call("PUR-IDENT", "EXT-14-2026-00000013", "ANALISTA_AFILIACION", "Admisión")

    def find(curp: str) -> dict[str, Any]:
        return stage.ask("14-IPEJAL/EXTERNOS", "00-RNSS", "buscarBeneficiario", {"curp": curp}, why).body

    ari = find(curp_of("ari"))
    stage.expect(ari == {"resultado": "COINCIDE", "pid": pid_of("ari", "14-IPEJAL")}, f"sex X: {ari}")
    stage.done(
        Admission(stage, "EXT-14-2026-00000013", "14-IPEJAL", ari["pid"]).apply("VOLUNTARIO"), "sex X applies"
    )
    made = stage.officer("00-RNSS", "enrol", "--member", "14-IPEJAL", "--level", "2", text="\n")
    pid = made.stdout.strip()
    without = Admission(stage, "EXT-14-2026-00000014", "14-IPEJAL", pid)
    stage.done(without.apply("VOLUNTARIO"), f"a person without CURP applies {made.stderr}")
    stage.done(without.advance("VERIFICANDO_IDENTIDAD"), "identity")
    stage.done(without.advance("ADMITIDA_PROVISIONAL"), "and is admitted provisionally")
    given = stage.officer(
        "00-RNSS", "give-curp", "--member", "14-IPEJAL", "--pid", pid, text="AAPR630321HDFLRC09\n"
    )
    stage.expect(
        given.returncode == 0 and find("AAPR630321HDFLRC09").get("pid") == pid,
        "her PID stays when the CURP comes",
    )
    former, present = "CXJO040228MCHTRFZ0", curp_of("ofelia")
    corrected = stage.officer("00-RNSS", "correct-curp", text=f"{former}\n{present}\n")
    stage.expect(corrected.returncode == 0, f"the correction: {corrected.stderr}")
    old, new = find(former), find(present)
    stage.expect(
        old == {**new, "estadoCurp": "HISTORICA"} and new.get("pid") == pid_of("ofelia", "14-IPEJAL"),
        f"both lead to her, PIDs stay: {old} {new}",
    )
    events = "SELECT type FROM vital_event WHERE type = 'CORRECCION_CURP'"
    stage.wait("the institutes are told of the correction", lambda: query(stage, "15-ISSEMYM", events) != [])
    _merge(stage, find)
    _low_level(stage)
    stage.prove()


def _merge(stage: Stage, find: Any) -> None:
    one, other = "HEGG560427MVZRRL04", "SABC560626MDFLRN01"
    for curp in (one, other):
        stage.officer("00-RNSS", "enrol", "--member", "14-IPEJAL", "--level", "2", text=f"{curp}\n")
    early = stage.officer(
        "00-RNSS", "merge", "--officer", "of-1", "--signature", "00", text=f"{one}\n{other}\n"
    )
    stage.expect(early.returncode != 0, "nothing is merged without review")
    stage.officer("00-RNSS", "review", text=f"{one}\n{other}\n")
    stage.expect(find(one) == {"resultado": "NO_CONCLUYENTE"}, "while under review nobody is sure")
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    file = stage.country.system_folder("00-RNSS") / "officer.pem"
    file.write_bytes(public)
    stage.officer("00-RNSS", "add-officer", "--officer", "of-1", str(file))
    by = ("--officer", "of-1")
    forged = stage.officer("00-RNSS", "merge", *by, "--signature", "ab" * 64, text=f"{one}\n{other}\n")
    stage.expect(forged.returncode != 0, "nothing is merged by a signature that is not hers")
    decision = stage.officer("00-RNSS", "decision", *by, text=f"{one}\n{other}\n").stdout
    signed = key.sign(decision.encode()).hex()
    merged = stage.officer("00-RNSS", "merge", *by, "--signature", signed, text=f"{one}\n{other}\n")
    stage.expect(merged.returncode == 0, f"merged: {merged.stderr}")
    stage.expect(find(one).get("pid") == find(other).get("pid"), "by an officer's decision they are one")


def _low_level(stage: Stage) -> None:
    made = stage.officer(
        "00-RNSS", "enrol", "--member", "14-IPEJAL", "--level", "1", text="BEML920313HMCLNS09\n"
    )
    why = Call("PUR-HIST", "CONS-14-2026-00000020", "TITULAR", "Constancia")
    testigo = {"testigo": stage.token("14-IPEJAL/HIST", made.stdout.strip(), "26-ISSSTESON", why)}
    low = stage.ask("14-IPEJAL/HIST", "26-ISSSTESON", "consultarHistoria", testigo, why)
    stage.refused(low, "SS-206", "LOA1")
    stage.expect("Llave MX" in str(low.body), "the refusal says how to reach LOA2")
