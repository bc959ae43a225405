"""What a log keeps of a message whose content it may not keep: its headers, and none of its content."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas import rest, soap
from schemas.identifiers import ClientId, ServerId, ServiceId
from schemas.reduced import reduce_message

CLIENT, PROVIDER = ClientId("MX", "GOB", "07", "P&P"), ClientId("MX", "GOB", "09", "PADRON")
HEADERS = (("X-Road-Client", "MX/GOB/07/P"), ("X-Road-UserId", "ana"), ("Authorization", "secret"))


def test_of_a_rest_message_the_service_and_x_road_s_headers_are_kept() -> None:
    target = "/r1/MX/GOB/09/PADRON/personas/secret?curp=secret"
    request = rest.build_request("GET", target, HEADERS, instance="MX", new_id=lambda: "7")
    short = reduce_message(request.to_message())
    assert short.splitlines()[:2] == [b"GET", b"/r1/MX/GOB/09/PADRON/personas"]
    answer = rest.build_response(404, "No", (("X-Body", "secret"),), request, "aGFzaA==")
    assert reduce_message(answer.to_message()).splitlines()[:2] == [b"404", b"No"]
    for kept, message in ((short, request), (reduce_message(answer.to_message()), answer)):
        assert b"secret" not in kept
        assert sorted(kept.splitlines()[2:]) == sorted(
            f"{n}:{v}".encode() for n, v in message.headers if n.lower().startswith("x-road-")
        )


@pytest.mark.parametrize("party", [None, "", "26", "GOB/26"])
@pytest.mark.parametrize("name", ["alta", "altaResponse"])
def test_of_a_soap_message_the_headers_are_kept_and_read_again(party: str | None, name: str) -> None:
    raw = soap.render_request(
        CLIENT, ServiceId(PROVIDER, "alta", "v2"), "m<1", f"<{name}>secret</{name}>",
        user_id="ana", security_server=ServerId("MX", "GOB", "09", "SS1"),
    )  # fmt: skip
    message = replace(soap.parse_message(raw), represented_party=party, issue="7 & 8")
    whole = message.to_message("q-1", is_response=message.is_response)
    kept = reduce_message(whole)
    again = soap.parse_message(kept)
    assert b"secret" not in kept
    assert again == replace(message, raw=kept, places=again.places, represented_party=party or None)
