"""What each page of the central server's console is for, in a few sentences, by its path below the root."""

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
        "Whether anything waits for a decision, and how old the configuration is that every server of the instance goes by."
    ),
    "/asistente": N_(
        "From an empty server to a configuration that is given out. Each step is done when what it makes is there; you may leave and come back."
    ),
    "/solicitudes": N_(
        "Servers ask to have certificates and clients registered. What is approved stands in the next configuration, a few seconds later."
    ),
    "/solicitud": N_(
        "What is asked for, by whom, and what approving would bring. Compare the certificate's digest with the one that the institute says by another way."
    ),
    "/miembros": N_(
        "Members are the organisations of the instance; each exchanges messages as one or more subsystems. A member class, such as GOB, groups members by their kind."
    ),
    "/miembro": N_("One member: its subsystems, the servers it owns and those it uses, the groups it is in."),
    "/servidores": N_(
        "Servers come by a request that registers their authentication certificate. Deleting one ends its exchanges with the next configuration."
    ),
    "/servidor": N_(
        "The certificates by which other servers know this one, and the clients whose messages it may sign and answer."
    ),
    "/grupos": N_(
        "A global group holds members and subsystems; providers on any server may grant it rights. The group of owners is kept by the server itself."
    ),
    "/grupo": N_("Who is in the group. Whoever is added has all its rights from the next configuration on."),
    "/confianza": N_(
        "Whose certificates and timestamps the whole instance believes. An authority that is deleted is believed no longer: what depends on it stops."
    ),
    "/autoridad": N_(
        "How certificates of one authority are believed, and which responders say whether they are revoked."
    ),
    "/configuracion": N_(
        "The configuration is made and signed here and fetched by every server. The anchor is what a new server begins with: give it, and its "
        "digest by another way. A second signing key lets you change keys without a pause."
    ),
    "/nodos": N_(
        "The nodes that share this central server's database. Each signs the configuration with its own keys, and the anchor names all of them: "
        "while one is in order, the servers of the instance have their configuration."
    ),
    "/federacion": N_(
        "How many servers of each member class are in order, and which need somebody: without a valid certificate, with one that ends soon, or under maintenance."
    ),
    "/catalogo": N_(
        "What the instance's members offer, as their servers last described it. The catalogue for everybody is on a port of its own."
    ),
    "/catalogo/servicio": N_(
        "One service: its purpose, its operations, and how it is called and access to it asked for."
    ),
}
