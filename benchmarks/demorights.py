"""The demo's S05 and S09: a person asks for her data at three institutes, and sees who looked at it.

Each step says what each party may and may not see; what it says is checked against the answers.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from benchmarks.calls import Call
from benchmarks.country import member_path
from serving.api.evidence import KnownLogs, load_known_logs, verify_proof
from social_security.domain.calendars import load_calendar
from social_security.domain.edition import package_edition
from social_security.wire.recordproofs import open_proofs

if TYPE_CHECKING:
    from benchmarks.calls import Reply
    from benchmarks.country import Country
    from benchmarks.demoshow import Show

PROVED_WITHIN_S = 240.0
CODES = ("15-ISSEMYM", "26-ISSSTESON", "30-IPE")
PID = {"15-ISSEMYM": "C77536HD0CYA1RRC9HFC4CF1SRC", "30-IPE": "9V5886721C4NZ6NX7F3S7XHYS44"}


def access_request(show: Show, country: Country) -> None:
    """S05: one request, three institutes, each with its own clock."""
    show.write(
        "\n── S05 · Pedir mis datos a tres institutos con una sola solicitud ──",
        "\n── S05 · Ask three institutes for my data with one request ──",
    )
    now = datetime.now(UTC)
    # A fresh folio each run; the year is that of the request.
    folio = f"ARCO-30-{now.year}-{int(now.timestamp()) % 100_000_000:08d}"
    received = now.astimezone(ZoneInfo("America/Mexico_City")).isoformat(timespec="seconds")
    show.step(
        f"Ana presenta ante IPE una solicitud de acceso ({folio}); IPE la lleva a los tres",
        f"Ana files an access request at IPE ({folio}); IPE carries it to all three",
    )
    for code in CODES:
        _file(show, country, code, folio, received)
    show.step(
        "Cada instituto contesta; aquí, todos hoy mismo", "Each institute answers; here, all of them today"
    )
    days = 0
    for code in CODES:
        for state in ("EN_TRAMITE", "PROCEDENTE", "EFECTIVA"):
            body = {"estado": state, "ocurridoEl": received}
            unit = Call("PUR-ARCO", folio, "UNIDAD_TRANSPARENCIA", "Respuesta a solicitud")
            country.call(f"{code}/ARCO", code, "avanzarArco", body, unit, folio=folio)
        package = _see(country, code, folio).body.get("paquete", {})
        history = package.get("historia", {})
        days += history.get("totalDias", 0)
        show.expect(
            history.get("totalDias", 0) > 0,
            f"{code}: {history.get('totalDias')} días certificados, {package.get('accesos')} accesos, "
            f"receptores {', '.join(package.get('receptores', []))}",
            f"{code}: {history.get('totalDias')} certified days, {package.get('accesos')} accesses, "
            f"recipients {', '.join(package.get('receptores', []))}",
        )
    show.expect(
        days == 9075,
        f"suman {days} días; quitado el traslape de 16 son los 9,059 de su portabilidad",
        f"they add up to {days} days; without the overlap of 16 they are the 9,059 of her portability case",
    )
    show.expect(
        _stranger(country, folio).body.get("codigo") == "SS-300",
        "ISSEMYM no puede ver la solicitud que está en ISSSTESON",
        "ISSEMYM cannot see the request that is at ISSSTESON",
    )
    _who(
        show,
        (
            "la persona",
            "the person",
            "todo lo suyo, quién lo recibió y para qué",
            "all of hers, who received it and why",
        ),
        ("cada instituto", "each institute", "su parte; no la de los otros", "its own part; not the others'"),
        (
            "el registro",
            "the registry",
            "quién pregunta por quién; nada del contenido",
            "who asks about whom; no content",
        ),
    )


def _file(show: Show, country: Country, code: str, folio: str, received: str) -> None:
    person = Call("PUR-ARCO", folio, "TITULAR", "Ejercicio de derechos ARCO")
    body: dict[str, Any] = {
        "derecho": "ACCESO",
        "representante": False,
        "nivelIdentidad": "LOA2",
        "modalidad": "ELECTRONICA",
        "recibidaEl": received,
        "responsables": [member_path(c) for c in CODES],
    }
    if code == "30-IPE":
        body["pid"] = PID["30-IPE"]
    else:
        ask = {"pid": PID["30-IPE"], "destino": member_path(code)}
        token = country.call("30-IPE/ARCO", "00-RNSS", "traducirPid", ask, person)
        body["testigo"] = token.body.get("testigo", "")
    answer = country.call("30-IPE/ARCO", code, "presentarArco", body, person)
    calendar = load_calendar(package_edition(), code)
    due = calendar.add(calendar.local_day(datetime.fromisoformat(received)), 20).isoformat()
    show.expect(
        answer.body.get("limiteRespuesta") == due,
        f"{code}: {answer.body.get('estado')}, contesta a más tardar el {answer.body.get('limiteRespuesta')} "
        f"({answer.body.get('calendario')})",
        f"{code}: {answer.body.get('estado')}, answers by {answer.body.get('limiteRespuesta')} "
        f"({answer.body.get('calendario')})",
    )


def _see(country: Country, code: str, folio: str) -> Reply:
    person = Call("PUR-ARCO", folio, "TITULAR", "Consulta")
    return country.call("30-IPE/ARCO", code, "verArco", None, person, folio=folio)


def _stranger(country: Country, folio: str) -> Reply:
    nosy = Call("PUR-ARCO", folio, "UNIDAD_TRANSPARENCIA", "Curiosidad")
    return country.call("15-ISSEMYM/ARCO", "26-ISSSTESON", "verArco", None, nosy, folio=folio)


def access_log(show: Show, country: Country) -> Reply:
    """S09: who looked at my data, refused attempts too; a hidden inquiry shows when its time is over. The inquiry."""
    show.write(
        "\n── S09 · Quién consultó mis datos ──",
        "\n── S09 · Who looked at my data ──",
    )
    now = datetime.now(UTC)
    tomorrow = (now + timedelta(days=1)).date()
    hidden = Call(
        "PUR-AFIL",
        f"CONS-26-{now.year}-00000099",
        "ANALISTA_AFILIACION",
        "Requerimiento de autoridad",
        headers={"X-OSS-Oculto": f"mx:LGPDPPSO-49-VI;hasta={tomorrow}"},
    )
    ask = {"pid": "SN16SJV765EFGNS0P72R8S9VS8G", "destino": member_path("15-ISSEMYM")}
    token = country.call("26-ISSSTESON/AFIL", "00-RNSS", "traducirPid", ask, hidden)
    sealed = {"testigo": token.body.get("testigo", "")}
    secret = country.call("26-ISSSTESON/AFIL", "15-ISSEMYM", "consultarAfiliacion", sealed, hidden)
    open_ask = Call("PUR-AFIL", hidden.case, "ANALISTA_AFILIACION", "Otra vez con el mismo testigo")
    again = country.call("26-ISSSTESON/AFIL", "15-ISSEMYM", "consultarAfiliacion", sealed, open_ask)
    why = Call("PUR-BITACORA", f"CONS-15-{now.year}-00000021", "TITULAR", "Quién consultó mis datos")
    mine = {"pid": PID["15-ISSEMYM"], "limit": 6}
    show.step("Ana pregunta por su bitácora a ISSEMYM", "Ana asks ISSEMYM for her access log")
    reply = country.call("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", mine, why)
    rows = reply.body.get("usages", [])
    for row in rows:
        print(
            f"     {row['logtime'][:19]}  {row['outcome']:9}  {row['purpose']:12}  {row['receiverName'][:28]:28}  {row['action']}"
        )
    show.expect(
        len(rows) > 0,
        "ve cuándo, qué, quién, para qué y cómo terminó",
        "she sees when, what, who, why and how it ended",
    )
    show.expect(
        secret.status == 200 and not any(r["messageId"] == secret.message_id for r in rows),
        f"la consulta oculta por una autoridad no aparece hasta pasado el {tomorrow}",
        f"an authority's hidden inquiry does not appear until after {tomorrow}",
    )
    show.expect(
        any(r["messageId"] == again.message_id and r["outcome"] == "NEGADO" for r in rows),
        f"también el intento que se negó ({again.body.get('codigo')})",
        f"the attempt that was refused is there too ({again.body.get('codigo')})",
    )
    show.expect(
        "emp-0001" not in str(rows),
        "ningún nombre ni clave de personal aparece",
        "nobody's name or staff id appears",
    )
    for keeper, whose in (("15-ISSEMYM", "ISSEMYM"), ("00-RNSS", "RNSS")):
        show.expect(
            _is_proved(country, keeper, why),
            f"la bitácora firmada y cofirmada de la pasarela prueba los renglones de {whose}",
            f"the gateway's signed and cosigned log proves the lines of {whose}",
        )
    other = country.call("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", {"pid": PID["30-IPE"]}, why)
    _code(show, other, "SS-300", "preguntar por otra persona", "asking about somebody else")
    nobody = Call("PUR-BITACORA", why.case, "TITULAR", why.reason, headers={"X-Road-UserId": ""})
    refused = country.call("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", mine, nobody)
    _code(show, refused, "SS-200", "sin decir quién pregunta", "without saying who asks")
    _who(
        show,
        (
            "la persona",
            "the person",
            "cada acceso, negados incluidos; no a la persona servidora pública",
            "each access, refused ones too; not the public servant",
        ),
        (
            "el instituto",
            "the institute",
            "además, la clave local de quien consultó",
            "the local id of who asked as well",
        ),
        (
            "el garante",
            "the guarantor",
            "todo, también lo oculto, y sólo con un caso",
            "everything, hidden rows too, and only with a case",
        ),
    )
    return secret


def _code(show: Show, reply: Reply, code: str, es: str, en: str) -> None:
    text = reply.body.get("message" if show.english else "mensaje", "")
    found = reply.body.get("codigo")
    show.expect(found == code, f"{es}: {found}  {text}", f"{en}: {found}  {text}")


def _who(show: Show, *rows: tuple[str, str, str, str]) -> None:
    show.write("   Qué puede ver cada quien:", "   What each may see:")
    for es, en, sees_es, sees_en in rows:
        show.write(f"     {es:16} {sees_es}", f"     {en:16} {sees_en}")


def _is_proved(country: Country, keeper: str, why: Call) -> bool:
    """Whether every message on the first page of a list is in the keeper's signed log, by the configuration's keys alone.

    Witnesses sign, and keys of logs are published, some seconds after: it is looked at until both are there.
    """
    body: dict[str, Any] = {"pid": PID["15-ISSEMYM"], "limit": 10}
    rows = country.call("15-ISSEMYM/BITACORA", keeper, "findUsage", body, why).body.get("usages", [])
    ids = [row["messageId"] for row in rows if row["outcome"] == "ENTREGADO"]
    until = time.monotonic() + PROVED_WITHIN_S
    while ids and time.monotonic() < until:
        ask = body | {"limit": 1, "proofs": ids}
        packed = country.call("15-ISSEMYM/BITACORA", keeper, "findUsage", ask, why).body.get("proofs")
        bundle = open_proofs(packed)
        if not bundle["waiting"]:
            known = _known_logs(country)
            verdicts = [[verify_proof(p, known) for p in bundle["proofs"].get(i, ())] for i in ids]
            if all(found and all(not v.reason and v.cosigned for v in found) for found in verdicts):
                return True
        time.sleep(1)
    return False


def _known_logs(country: Country) -> KnownLogs:
    """The keys of the logs, by the configuration that the institute's gateway gives out."""
    with tempfile.TemporaryDirectory() as folder:
        return load_known_logs(country.verification_configuration("15-ISSEMYM", Path(folder)))
