"""Counting instructions: what callgrind writes is read by part, and growth is told against the last row of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.instructions import CASE, TOTAL, count_parts, grown, last_totals
from benchmarks.load import Table

if TYPE_CHECKING:
    from pathlib import Path

DUMP = """\
version: 1
events: Ir
ob=(1) /usr/lib/libpython3.11.so.1.0
fn=(1) eval
12 700
+3 50
cob=(2) /usr/lib/libcrypto.so.3
cfn=(2) sha
calls=4 12
* 5000
-2 7
fn=(3) call
1 1
ob=(2)
fn=(2)
9 5000
ob=(3) /opt/unheard_of.so
fn=(4) f
0 11
totals: 5769
"""


def test_each_binary_has_its_own_instructions_and_none_is_counted_twice() -> None:
    assert count_parts(DUMP) == {"python": 758, "cryptography": 5000, "other": 11}


def test_only_growth_above_a_twentieth_against_the_last_row_of_this_machine_is_told(tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    history.write_text(
        "commit,date,machine,case,connections,figure,value\n"
        f"a,2026-01-01,ours,{CASE} CONS,16,{TOTAL},500\n"
        f"b,2026-01-02,ours,{CASE} CONS,16,{TOTAL},1000\n"
        f"c,2026-01-03,another,{CASE} CONS,16,{TOTAL},1\n"
        "d,2026-01-03,ours,c,16,per_second,7\n"
    )
    before = last_totals(history, "ours")
    assert before == {(f"{CASE} CONS", 16): 1000.0}
    table = Table()
    table.keep(f"{CASE} CONS", 16, TOTAL, 1049)
    assert grown(table, before) == []
    table.keep(f"{CASE} CONS", 16, TOTAL, 1051)
    assert len(grown(table, before)) == 1
