"""The quality report of an import: what was found wrong, or is worth a look, row by row, in Spanish and English."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING, Final

from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from social_security.domain.faults import InputError

COLUMNS: Final = ("fila", "campo", "problema", "valor_sugerido", "problem")


class QualityReport:
    """The quality report: a new file that only its owner reads. Raises ValueError where one is there.

    As a context it is closed at the end; where a file was refused whole (ValueError before any problem of a row), the empty report
    goes again, so that the same command may be run once the file is mended.
    """

    def __init__(self, path: Path) -> None:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as err:
            raise OperatorError(N_("{path} is there already; a report is a new file", path=path)) from err
        self._file = os.fdopen(handle, "w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file)
        self._csv.writerow(COLUMNS)
        self._path = path
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(err, ValueError) and self.count == 0:
            # The header alone was on the disk; a crash before leaves it, and the next run says that a report is there already.
            self._path.unlink(missing_ok=True)

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
        """Write out and close the report's file."""
        self._file.close()
