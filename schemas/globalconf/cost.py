"""In which order trust services are asked, when some of them cost money. Spec: X-Road 7.8's prioritisation strategies."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol, TypeVar

from schemas.globalconf.shared import CostType

if TYPE_CHECKING:
    from collections.abc import Iterable


class Priced(Protocol):
    """An OCSP responder or a timestamping authority."""

    @property
    def cost_type(self) -> CostType | None:
        """The cost of the service; None when the configuration does not say."""
        ...


Service = TypeVar("Service", bound=Priced)


class CostOrder(enum.StrEnum):
    """Which services to ask and which first; ``none`` leaves them as the configuration lists them."""

    NONE = "none"
    ONLY_FREE = "only-free"
    FREE_FIRST = "free-first"
    ONLY_PAID = "only-paid"
    PAID_FIRST = "paid-first"


_FIRST: dict[CostOrder, tuple[CostType, ...]] = {
    CostOrder.ONLY_FREE: (CostType.FREE,),
    CostOrder.FREE_FIRST: (CostType.FREE, CostType.PAID, CostType.UNDEFINED),
    CostOrder.ONLY_PAID: (CostType.PAID,),
    CostOrder.PAID_FIRST: (CostType.PAID, CostType.FREE, CostType.UNDEFINED),
}


def in_order_of_cost(services: Iterable[Service], order: CostOrder) -> tuple[Service, ...]:
    """The services that ``order`` lets in, its favourites first; equals keep their order."""
    if order is CostOrder.NONE:
        return tuple(services)
    allowed = _FIRST[order]
    let_in = [s for s in services if (s.cost_type or CostType.UNDEFINED) in allowed]
    return tuple(sorted(let_in, key=lambda s: allowed.index(s.cost_type or CostType.UNDEFINED)))
