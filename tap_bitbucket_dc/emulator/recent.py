"""What need not be made again."""

from __future__ import annotations

import threading
from collections import OrderedDict


class Recent:
    """Bytes by key; the longest unused go once there are more than ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self._values: OrderedDict[object, bytes] = OrderedDict()
        self._room = size
        self._lock = threading.Lock()

    def get(self, key: object) -> bytes | None:
        """Return what was put under the key, None if that is gone."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: object, value: bytes) -> None:
        """Remember a value."""
        with self._lock:
            self._room += len(self._values.pop(key, b"")) - len(value)
            self._values[key] = value
            while self._room < 0 and len(self._values) > 1:
                self._room += len(self._values.popitem(last=False)[1])
