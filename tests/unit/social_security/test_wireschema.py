"""Days and moments in bodies: the description takes those that this software can hold, and refuses the others before anybody reads them."""

from __future__ import annotations

import pytest

from social_security.domain import pack
from social_security.domain.faults import DomainError
from social_security.wire.wireschema import check_request

REQUEST = {
    "pid": "C77536HD0CYA1RRC9HFC4CF1SRC",
    "derecho": "ACCESO",
    "representante": False,
    "nivelIdentidad": "LOA2",
    "modalidad": "ELECTRONICA",
    "responsables": ["MX/GOB/15-ISSEMYM"],
}
EVENT = {
    "caso": "PORT-15-2026-00000001",
    "secuencia": 1,
    "evento": "PRESENTAR",
    "estadoPrevio": "BORRADOR",
    "estadoNuevo": "PRESENTADA",
    "responsable": "MX/GOB/15-ISSEMYM",
    "contraparte": ["MX/GOB/26-ISSSTESON"],
    "convenio": "CONV-DEMO-2025-01",
    "beneficio": "VEJEZ",
    "hashAnterior": "0" * 64,
    "pid": "C77536HD0CYA1RRC9HFC4CF1SRC",
}


@pytest.mark.parametrize(
    "moment",
    [
        "0000-01-01T00:00:00Z", "2026-12-31T23:59:60Z",
        "2026-11-30t10:00:00z", "2026-02-29T10:00:00Z", "2026-11-30T10:00:00", "2026-11-30 10:00:00Z", "20261130T100000Z",
        "2026-11-30T24:00:00Z", "2026-11-30T10:00:00+24:00", "2026-11-30T10:00:00Z\n", "٢026-11-30T10:00:00Z", "",
    ],
)  # fmt: skip
def test_a_moment_that_nobody_can_hold_is_refused(moment: str) -> None:
    with pytest.raises(DomainError) as refused:
        check_request(pack.operations()["presentarArco"], REQUEST | {"recibidaEl": moment})
    assert (refused.value.code, refused.value.field) == ("SS-100", "recibidaEl")


@pytest.mark.parametrize(
    "moment", ["2026-11-30T10:00:00Z", "2026-11-30T10:00:00.123456789-06:00", "2024-02-29T23:59:59+13:45"]
)
def test_a_moment_of_any_zone_is_taken(moment: str) -> None:
    check_request(pack.operations()["presentarArco"], REQUEST | {"recibidaEl": moment})


@pytest.mark.parametrize(
    "day",
    [
        "0000-01-01",
        "2026-02-29",
        "20260101",
        "2026-W01-1",
        "2026-1-1",
        "2026-01-01Z",
        "",
    ],
)
def test_a_day_that_nobody_can_hold_is_refused(day: str) -> None:
    with pytest.raises(DomainError) as refused:
        check_request(pack.operations()["agregarEvento"], EVENT | {"presentadaEl": day})
    assert refused.value.code == "SS-100"
    assert refused.value.field == "presentadaEl"
