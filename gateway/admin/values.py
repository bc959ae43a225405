"""Bodies and answers that several resources share; names and limits are the API's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

if TYPE_CHECKING:
    from schemas.identifiers import ServerId

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=255, extra={"identifier": True})]
EncodedId = Annotated[str, msgspec.Meta(min_length=1, max_length=1279)]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Phrase = Annotated[
    str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_,.;:!? áéíóúüñÁÉÍÓÚÜÑ¿¡]*$")
]
Pin = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
CostType = Literal["FREE", "PAID", "UNDEFINED"]
Usage = Literal["AUTHENTICATION", "SIGNING"]


class CodeWithMetadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """A code with positional details."""

    code: str
    metadata: list[str] | None = None


class IgnoreWarnings(msgspec.Struct, frozen=True):
    """Whether warnings have been seen and accepted."""

    ignore_warnings: bool = False


class SecurityServerView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A security server of the global configuration."""

    id: str
    instance_id: str
    member_class: str
    member_code: str
    server_code: str
    server_address: str | None = None


def server_view(server: ServerId, address: str | None) -> SecurityServerView:
    """A security server as the API shows it."""
    return SecurityServerView(
        server.encoded(),
        server.instance,
        server.member_class,
        server.member_code,
        server.server_code,
        address or None,
    )


class ServiceClient(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whoever may be granted access: a subsystem, a local or a global group."""

    id: str
    name: str | None = None
    local_group_code: str | None = None
    service_client_type: str | None = None
    rights_given_at: str | None = None


class TimestampingServiceView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A timestamping authority. Without a cost type the approved one's is taken."""

    name: Text
    url: Url
    cost_type: CostType | None = None
