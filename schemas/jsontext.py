"""JSON: the one place where the project reads and writes it; `tests/test_architecture.py` holds that.

`decode_json` and `encode_json` (msgspec) are for values of a declared type, and for what only programs read: the shortest text.
`load_json` and `dump_json` (the standard library) are for values of any shape where the text itself counts: it is indented,
sorted or ASCII because a person, a digest or X-Road wants it so, a name that stands twice must be seen, or it was kept by an
earlier release and may hold what msgspec reads no more (half a surrogate pair).

What both refuse: nesting too deep, and numbers that are none (``NaN``, ``Infinity``, ``1e400``). `load_json` refuses whole numbers
beyond 64 bits too, which no field keeps, unless the text is somebody else's to understand. Spec: RFC 8259 6, 8.1, 9.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import msgspec

from schemas.numbers import signed_number

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# What `load_json` raises where a text is no JSON at all, rather than JSON that is refused: a `ValueError` with ``pos``.
JsonSyntaxError = json.JSONDecodeError


def load_json(
    raw: bytes | str,
    *,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
    any_integer: bool = False,
) -> Any:
    """The value; of a name that stands twice in an object, the last, unless the hook decides. Raises ValueError, whatever is wrong.

    ``any_integer`` lets whole numbers be that are larger than what is kept, for what is looked at and not kept.
    """
    try:
        return json.loads(
            raw,
            object_pairs_hook=object_pairs_hook,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=None if any_integer else _kept,
        )
    except RecursionError:
        raise ValueError("it nests too deep") from None


def dump_json(
    value: object,
    *,
    ensure_ascii: bool = True,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
    default: Callable[[Any], Any] | None = None,
) -> str:
    """The text of a value, in the form that the options ask for; see `json.dumps`. Raises ValueError for a number that is none."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=default,
        allow_nan=False,
    )


@overload
def decode_json(raw: bytes | str) -> Any: ...
@overload
def decode_json(raw: bytes | str, kind: type[T]) -> T: ...
def decode_json(raw: bytes | str, kind: Any = Any) -> Any:
    """The value, of a type that msgspec knows. Raises `msgspec.DecodeError`, a ValueError, whatever is wrong with it."""
    try:
        return _decoder(kind).decode(raw)
    except RecursionError:
        raise msgspec.DecodeError("it nests too deep") from None
    except UnicodeDecodeError as err:
        raise msgspec.DecodeError(f"it is not UTF-8: {err.reason}") from None


def encode_json(
    value: object,
    *,
    indent: int | None = None,
    enc_hook: Callable[[Any], Any] | None = None,
    order: Literal["deterministic", "sorted"] | None = None,
) -> bytes:
    """The shortest text of a value, in UTF-8, or with ``indent`` one a person reads. ``enc_hook`` makes strange values plain ones."""
    text = msgspec.json.encode(value, enc_hook=enc_hook, order=order)
    return text if indent is None else msgspec.json.format(text, indent=indent)


# Made once for each type: making one takes longer than reading a small text does.
@lru_cache(maxsize=512)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _kept(text: str) -> int:
    value = signed_number(text)
    if value is None:
        raise ValueError(f"the number {text[:40]} is larger than any that is kept")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is larger than any that is kept")
    return value
