"""Inputs that a worker keeps because another quantum reads them too."""

import sys
from collections import OrderedDict
from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np

_DEPTH = 6
_LARGEST = 0.5  # of the cache: one thing must not push out everything else
_CHANGEABLE = (dict, list, set, bytearray)


class InputCache:
    """A bounded number of bytes of what was read last.

    Only values of types that stages do not change are kept; lists and dicts are read anew every time.

    Parameters
    ----------
    limit : int
        Size [bytes]; nothing is kept at 0.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.size = 0
        self.hits = 0

    def get(self, key: Hashable) -> Any | None:
        """Return a value, or None where it is not here.

        Parameters
        ----------
        key : hashable
            As given to `put`.

        Returns
        -------
        object or None
        """
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        self.hits += 1
        return found[0]

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value, and drop those that were not used for the longest time.

        Parameters
        ----------
        key : hashable
            For `get`.
        value : object
            What was read.
        """
        if value is None or isinstance(value, _CHANGEABLE):
            return
        size = size_of(value)
        if size > _LARGEST * self._limit:
            return
        self._values[key] = (value, size)
        self.size += size
        while self.size > self._limit:
            _, (_, dropped) = self._values.popitem(last=False)
            self.size -= dropped


def size_of(value: Any) -> int:
    """Return about how much memory a value takes [bytes], arrays and tables inside it included.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    int
    """
    return _size(value, _DEPTH, set())


def _size(value: Any, depth: int, seen: set[int]) -> int:
    if id(value) in seen:
        return 0
    seen.add(id(value))
    own = sys.getsizeof(value, 64)
    if isinstance(value, np.ndarray) and isinstance(value.base, np.ndarray):
        return own + _size(value.base, depth, seen)
    if isinstance(bytes_inside := getattr(value, "nbytes", None), int):
        return max(own, bytes_inside)  # arrays and Arrow tables count their own data in both
    return own if depth == 0 else own + sum(_size(part, depth - 1, seen) for part in _parts(value))


def _parts(value: Any) -> Collection[Any]:
    if isinstance(value, str | bytes | int | float | type):
        return ()
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return value
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if name != "__weakref__"]
    return [*getattr(value, "__dict__", {}).values(), *(getattr(value, name, None) for name in slots)]
