"""The quality report of an import: what was found wrong, or is worth a look, row by row, in Spanish and English."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Final

from serving.errors import OperatorError
from serving.language import N_
from social_security.newfiles import NewFile

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from social_security.domain.faults import InputError

COLUMNS: Final = ("fila", "campo", "problema", "valor_sugerido", "problem")


class QualityReport:
    """The quality report: a new file that only its owner reads. Raises ValueError where one is there.

    As a context it is in its place at the end; where a file was refused whole (ValueError before any problem of a row), or the run
    was broken off, there is no report, so that the same command may be given again.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = NewFile(path)
        except FileExistsError as err:
            raise OperatorError(N_("{path} is there already; a report is a new file", path=path)) from err
        self._csv = csv.writer(self._file.text)
        self._csv.writerow(COLUMNS)
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        if err is None or (isinstance(err, ValueError) and self.count):
            self.close()
        else:
            self._file.drop()

    def add(self, row: int, name: str, es: str, en: str, suggestion: str = "") -> None:
        """Note a problem of a row; the header is row 1."""
        # A cell that a spreadsheet would take for a formula is written as text.
        cells = [f"'{c}" if c[:1] in ("=", "+", "-", "@") else c for c in (name, es, suggestion, en)]
        self._csv.writerow((row, *cells))
        self.count += 1

    def add_error(self, row: int, err: InputError) -> None:
        """Note why a row is not taken."""
        self.add(row, err.subject, err.es, str(err), err.suggestion)

    def close(self) -> None:
        """Put the report in its place, whole."""
        self._file.publish()
