"""Reads an object that does not fit its structure: the fields that do fit are kept.

One loop for all structures in ``models``. Used only after strict parsing has failed.
"""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

import msgspec

from tap_bitbucket_dc.bitbucket import dates
from tap_bitbucket_dc.bitbucket.errors import SkippableError
from tap_bitbucket_dc.bitbucket.models import Milliseconds, Model, Parent

if TYPE_CHECKING:
    from collections.abc import Callable

    OnBadDate = Callable[[object], None]

Object = TypeVar("Object", bound=Model)

_fields = functools.cache(msgspec.structs.fields)
_MISFITS = (msgspec.ValidationError, SkippableError)


def lenient(kind: type[Object], found: object, on_bad_date: OnBadDate = lambda _: None) -> Object:
    """Return an object from plain JSON; fields of another type get their defaults.

    Args:
        on_bad_date: Called with each date that cannot be read; the field gets its default.

    Raises:
        SkippableError: A field without a default, such as an id, is missing or of another type.
    """
    if not isinstance(found, dict):
        raise SkippableError(f"Bitbucket sent {found!r} where a {kind.__name__} was expected.")
    values: dict[str, Any] = {}
    for field in _fields(kind):
        value = found.get(field.encode_name)
        try:
            values[field.name] = _fitted(field.type, value, on_bad_date)
        except _MISFITS:
            if field.required:
                raise SkippableError(
                    f"Bitbucket sent a {kind.__name__} whose {field.encode_name!r} is {value!r}."
                ) from None
    return kind(**values)


def _fitted(kind: Any, value: object, on_bad_date: OnBadDate) -> Any:  # noqa: ANN401 as the field's type
    """Return the part of a value that fits a type; raises one of ``_MISFITS`` if nothing does."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        if get_origin(kind) in {Union, types.UnionType}:
            kind = next(part for part in get_args(kind) if part is not types.NoneType)
        if kind is Milliseconds and value is not None:
            return _date(value, on_bad_date)
        if isinstance(kind, type) and issubclass(kind, Model) and isinstance(value, dict):
            return lenient(kind, value, on_bad_date)
        if get_origin(kind) is tuple and isinstance(value, list):
            return _items(get_args(kind)[0], value, on_bad_date)
        raise


def _items(kind: Any, values: list[object], on_bad_date: OnBadDate) -> tuple[Any, ...]:  # noqa: ANN401 as above
    """Return the items that fit; the others are left out, but parents without an id raise."""
    fitted = []
    for value in values:
        try:
            fitted.append(_fitted(kind, value, on_bad_date))
        except _MISFITS:
            if kind is Parent:  # a list that lacks a parent would be wrong
                raise
    return tuple(fitted)


def _date(value: object, on_bad_date: OnBadDate) -> int | None:
    if isinstance(value, str):
        try:
            return dates.milliseconds(value)
        except ValueError:
            pass
    on_bad_date(value)
    return None
