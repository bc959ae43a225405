"""The oldest consumer sides that are answered."""

from __future__ import annotations

import pytest

from gateway.exchange.versions import check_client_version, parse_version
from schemas.faults import BadMessage, Kind


@pytest.mark.xroad("F085")
@pytest.mark.parametrize(
    ("sent", "minimum", "is_served"),
    [
        ("7.8.0", "7.6.0", True),
        ("7.6", "7.6.0", True),
        ("7.10.0", "7.9.9", True),
        ("7.6.0-SNAPSHOT", "7.6.0", True),
        ("7.5.9", "7.6.0", False),
        ("7.9.9", "7.10.0", False),
        ("", "7.6.0", False),
        (None, "6", False),
        ("unknown", "7.6.0", False),
        (None, "", True),
        ("0", "", True),
    ],
)
def test_a_version_counts_by_its_numbers(sent: str | None, minimum: str, is_served: bool) -> None:
    if is_served:
        check_client_version(sent, minimum)
        return
    with pytest.raises(BadMessage) as caught:
        check_client_version(sent, minimum)
    assert caught.value.kind is Kind.CLIENT_PROXY_VERSION_NOT_SUPPORTED
    assert caught.value.detail.startswith(
        f"The minimum supported version for client security server is: {minimum}"
    )


def test_zeros_at_the_end_and_what_is_no_number_do_not_count() -> None:
    assert parse_version(" 7.0.0 ") == parse_version("7") == (7,)
    assert parse_version("v7") == ()
