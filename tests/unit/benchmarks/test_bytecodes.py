"""An exchange takes no more bytecodes than the last row of the history says: what makes it dearer adds a row, and says why."""

from __future__ import annotations

import pytest

from benchmarks.bytecodes import CASE, MOST_GROWTH, TOTAL, count, last_total


@pytest.mark.timeout(900)
def test_an_exchange_takes_no_more_bytecodes_than_the_last_row_and_a_twentieth() -> None:
    before = last_total()
    if before is None:
        pytest.skip(f"the history has no row of {CASE}: python -m benchmarks.bytecodes adds one")
    found, functions = count()
    dearest = "\n".join(f"{value:8.0f} {name}" for name, value in list(functions.items())[:20])
    assert found[TOTAL] <= before * MOST_GROWTH, (
        f"an exchange takes {found[TOTAL]:.0f} bytecodes; the last row of benchmarks/history.csv has {before:.0f}. "
        f"Make it cheaper, or add a row (python -m benchmarks.bytecodes) and say why. By function:\n{dearest}"
    )
    # Both sides, the log's writer on its own thread, and the proofs are in the figure.
    for part in ("gateway/exchange", "gateway/http", "gateway/messagelog", "certs/verify", "schemas"):
        assert found[part] > 500
