"""Reads and decompresses the body of an answer, up to a limit.

200 kB of gzip can contain 200 MB. So it is decompressed here, piece by piece, and not by urllib3.
"""

from __future__ import annotations

import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import urllib3.exceptions

from tap_bitbucket_dc.bitbucket.errors import SkippableError, printable

if TYPE_CHECKING:
    import requests

CHUNK = 1024 * 1024  # bytes
LARGEST_ERROR = 256 * 1024  # bytes that are read of an answer other than 200
GZIP_OR_ZLIB = zlib.MAX_WBITS + 32
SMALLER = "Set a smaller `page_size`, or look at what the server answers at this URL."


def read(response: requests.Response, url: str, largest: int) -> bytes:
    """Return the body of an answer.

    Args:
        response: Its body has not been read yet.
        url: Where it comes from, for an error.
        largest: Bytes that a 200 may have; of other answers only the beginning is read.

    Raises:
        SkippableError: It is larger, or compressed in a way that was not requested.
        HTTPError: It was cut off, or cannot be decompressed.
    """
    is_ok = response.status_code == HTTPStatus.OK
    most = largest if is_ok else LARGEST_ERROR
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    unpacker = None if encoding in {"", "identity"} else _Unpacker()
    if unpacker and encoding not in {"gzip", "x-gzip", "deflate"} and is_ok:
        what = f"The answer of {url} is in the encoding {printable(encoding)!r}."
        raise SkippableError(what, url=url, status=response.status_code)
    body = bytearray()
    while chunk := response.raw.read1(CHUNK, decode_content=False):
        body += unpacker.unpack(chunk, most - len(body) + 1) if unpacker else chunk
        if len(body) > most:
            if not is_ok:
                return bytes(body[:most])
            what = f"The answer of {url} has more than {most:,} bytes."
            raise SkippableError(what, url=url, status=response.status_code, remedy=SMALLER)
    if unpacker and not unpacker.is_complete:
        raise urllib3.exceptions.DecodeError("the compressed body is cut off")
    return bytes(body)


class _Unpacker:
    """Decompresses gzip or zlib."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(GZIP_OR_ZLIB)
        self.is_complete = True
        """Whether nothing is missing."""

    def unpack(self, data: bytes, most: int) -> bytearray:
        """Return the content of a piece, at most ``most`` bytes of it."""
        unpacked = bytearray()
        try:
            while data and len(unpacked) < most:
                unpacked += self._stream.decompress(data, most - len(unpacked))
                self.is_complete = self._stream.eof
                data = self._stream.unconsumed_tail
                if self._stream.eof:  # gzip may continue with another member
                    data = self._stream.unused_data
                    self._stream = zlib.decompressobj(GZIP_OR_ZLIB)
        except zlib.error as error:
            if not self.is_complete:
                raise urllib3.exceptions.DecodeError(str(error)) from None
        return unpacked
