"""Access rights by the provider's pages alone: judged before, granted, used by a message, revoked, and refused from the next one on."""

from __future__ import annotations

from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import pytest

from gateway.admin.roles import SERVICE_ADMINISTRATOR
from serving.login.users import Logins
from tests.integration import calling
from tests.integration.conftest import CONSUMER, PROVIDER
from tests.operators import Operator

if TYPE_CHECKING:
    from benchmarks.federation import Federation

pytestmark = pytest.mark.processes
MATRIX = "/consola/derechos?cliente=MX:GOB:00-RNSS:INDICE"
OTRO = "MX:GOB:15-ISSEMYM:OTRO"
JUDGE = f"{MATRIX}&consumidor={OTRO}&servicio=echo&metodo=GET&ruta=/x"


class Listening:
    """A gateway that listens, as `Operator` calls it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.request = session.request


def call() -> int:
    """A message of OTRO to the service; its status."""
    return calling.call(CONSUMER.address, "00-RNSS/INDICE/echo/x", client="MX/GOB/15-ISSEMYM/OTRO").status


@pytest.mark.xroad("F171")
async def test_a_right_is_granted_and_revoked_by_pages_and_messages_follow(federation: Federation) -> None:
    logins = Logins(federation.data(PROVIDER) / "admin.sqlite")
    logins.save_user("eva", "secret", [SERVICE_ADMINISTRATOR])
    logins.close()
    connector = aiohttp.TCPConnector(ssl=False)
    address = f"https://{PROVIDER.address}:4000"
    async with aiohttp.ClientSession(address, connector=connector) as session:
        operator = Operator(Listening(session), "en")  # type: ignore[arg-type]
        await operator.log_in("eva", "secret")
        await operator.get(MATRIX)
        assert "MX:GOB:15-ISSEMYM:AFIL" in operator.page.text
        assert "GET /public/**" in operator.page.text
        await operator.get(JUDGE)
        assert "No: it would be refused." in operator.page.text
        assert call() != 200
        grant = "/consola/operacion/post_clients_id_service_clients_sc_id_access_rights"
        form = {"id": "MX:GOB:00-RNSS:INDICE", "sc_id": OTRO, "items.0.service_code": "echo"}
        await operator.send(grant, {**form, "vuelta": MATRIX})
        assert operator.status == 303, operator.page.text
        await operator.get(JUDGE)
        assert "Yes: the call would be let through." in operator.page.text
        assert call() == 200
        links = [urlsplit(unescape(link)) for link in operator.page.links if "access_rights_delete" in link]
        revoke, settled = next(
            (link.path, fields)
            for link in links
            for fields in (dict(parse_qsl(link.query)),)
            if (fields["sc_id"], fields["items.0.service_code"]) == (OTRO, "echo")
        )
        await operator.get(f"{revoke}?{urlencode(settled)}")
        assert "From the next message on its calls are refused." in operator.page.text
        await operator.send(revoke, settled)
        assert operator.status == 303, operator.page.text
        await operator.get(JUDGE)
        assert "No: it would be refused." in operator.page.text
        assert call() != 200
