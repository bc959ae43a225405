"""What each page of the gateway's console is for, in a few sentences, by its path below the root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving.language import N_
from serving.web.commonviews import COMMON_HELPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.language import Translatable

HELPS: Final[Mapping[str, Translatable]] = {
    **COMMON_HELPS,
    "/": N_(
        "Whether messages flow, until when they would if nobody did anything, and what is to be done, the most urgent first. Below it "
        "stands when each certificate ends."
    ),
    "/asistente": N_(
        "From an empty server to its first exchange. Each step is done when what it makes is there, wherever it was made; so you may "
        "leave and come back."
    ),
    "/clientes": N_(
        "A client is a member or one of its subsystems. Systems exchange messages as subsystems: each is kept here first, then registered, "
        "and may exchange once the central server's operators have approved it."
    ),
    "/cliente": N_(
        "What one client offers, to whom, and how its systems connect. To offer a service: add its description, switch it on, say who may call."
    ),
    "/cliente/nuevo": N_(
        "The code is the one that other members will write to call the subsystem; it cannot be changed later."
    ),
    "/grupo": N_(
        "A local group holds clients of any member. A right that the group has, each of them has; it counts on this server alone."
    ),
    "/descripcion": N_(
        "A description says which services a system has: a WSDL, an OpenAPI document, or an address alone. Reading it again shows the "
        "difference before anything changes. While it is switched off, its services are refused with the notice that you write."
    ),
    "/servicio": N_(
        "Where this server sends the calls of a service, how long it waits, and who may call: the whole service, or single endpoints of it."
    ),
    "/servicio/punto": N_(
        "A right to one method and path. Who has a right to the whole service needs none to its endpoints."
    ),
    "/derechos": N_(
        "A row for each client or group, a column for each service. At the foot a call is judged without making it: by the same rules that "
        "judge messages."
    ),
    "/peticiones": N_(
        "Members ask for access by a message that they sign. Approving grants the whole service at once; declining tells them your reason."
    ),
    "/pedir-acceso": N_(
        "Ask another member for access to one of its services, in the name of one of your clients. The same page says later how the request "
        "stands. A server that does not know such requests answers that it has no such service: then ask the institution by letter."
    ),
    "/llaves": N_(
        "A token holds keys, in files or in hardware, behind a PIN. Each server needs a key that connects to other servers, and each member "
        "on it a key that signs messages; an authority certifies each key by its signing request."
    ),
    "/llaves/solicitud": N_(
        "Choose what the key is for and who certifies it; the fields of the second step are those that the authority's profile asks for. "
        "The request is downloaded afterwards from the page of keys."
    ),
    "/trafico": N_(
        "How many exchanges succeeded and failed, how long they took, with whom and of which service. Counted from the operational records, "
        "which are kept for some days; the proof of each message is in the message log."
    ),
    "/mensajes": N_(
        "Every message that this server sent or answered, signed and timestamped. Contents are not shown; a container with its proof is "
        "downloaded for a reason, which the audit trail keeps."
    ),
    "/mensaje": N_("What is known of one message without its content, and each step by which it is proved."),
    "/diagnostico": N_(
        "How the configuration, the responders and the timestamping authorities answered last, and tests that call them now."
    ),
    "/servidor": N_(
        "What is set once: address, anchor, timestamping, the certificate for the server's own systems; and the authorities that the "
        "configuration approves, with how each stands."
    ),
    "/ajustes": N_(
        "Every setting with its meaning and its value. What is changed here goes before the file; a variable of the environment goes before both."
    ),
}
