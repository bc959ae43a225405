"""JSON from strangers: what nests too deep, or has numbers too long, is broken JSON and nothing worse.

Both readers go as deep as the interpreter lets them and then raise RecursionError, which no caller expects of bad bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar, overload

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def load_json(
    raw: bytes | str, *, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """The value. Raises ValueError, whatever is wrong with it."""
    try:
        return json.loads(raw, object_pairs_hook=object_pairs_hook)
    except RecursionError:
        raise ValueError("it nests too deep") from None


@overload
def decode_json(raw: bytes | str) -> Any: ...
@overload
def decode_json(raw: bytes | str, kind: type[T]) -> T: ...
def decode_json(raw: bytes | str, kind: Any = Any) -> Any:
    """The value, of a type that msgspec knows. Raises `msgspec.DecodeError`, whatever is wrong with it."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except RecursionError:
        raise msgspec.DecodeError("it nests too deep") from None
    except UnicodeDecodeError as err:
        raise msgspec.DecodeError(f"it is not UTF-8: {err.reason}") from None
