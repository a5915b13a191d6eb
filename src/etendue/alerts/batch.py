"""The alerts of one detector of one visit."""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from etendue.errors import InputError

_MAGIC = b"ETALERT1"
_SIZES = struct.Struct("<IQ")  # length of the JSON header, length of all packets


@dataclass(frozen=True, slots=True)
class AlertBatch:
    """Encoded alerts that are published together or not at all.

    Parameters
    ----------
    visit, detector : int
        Where they come from.
    ids : tuple of int
        ``diaSourceId`` of each alert.
    packets : tuple of bytes
        Alerts in the Confluent wire format, in the order of ``ids``.

    Raises
    ------
    InputError
        If the numbers of ids and packets differ, or an id occurs twice.
    """

    visit: int
    detector: int
    ids: tuple[int, ...]
    packets: tuple[bytes, ...]

    def __post_init__(self) -> None:
        """Check that ids and packets belong together."""
        if len(self.ids) != len(self.packets):
            raise InputError(f"{len(self.ids)} ids for {len(self.packets)} packets", source=f"alerts {self.key}")
        if len(set(self.ids)) != len(self.ids):
            raise InputError("a diaSourceId occurs twice", source=f"alerts {self.key}")

    def __len__(self) -> int:
        return len(self.packets)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.packets)

    @property
    def key(self) -> str:
        """Name under which the batch is published: ``visit/detector``."""
        return f"{self.visit}/{self.detector}"

    def content_hash(self) -> str:
        """Return a hash of the packets.

        Returns
        -------
        str
            SHA-256, 64 hexadecimal digits.
        """
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the batch as the content of a file.

        Returns
        -------
        bytes
            Magic, sizes, JSON header (ids as strings), then the packets one after the other.
        """
        header = {
            "visit": str(self.visit),
            "detector": self.detector,
            "ids": [str(number) for number in self.ids],
            "sizes": [len(packet) for packet in self.packets],
        }
        text = json.dumps(header, separators=(",", ":")).encode()
        body = b"".join(self.packets)
        return b"".join((_MAGIC, _SIZES.pack(len(text), len(body)), text, body))

    @classmethod
    def from_bytes(cls, content: bytes, *, source: object = "alert batch") -> "AlertBatch":
        """Return the batch that ``to_bytes`` wrote.

        Parameters
        ----------
        content : bytes
            A whole file.
        source : object
            Name of the file, for the message.

        Returns
        -------
        AlertBatch

        Raises
        ------
        InputError
            If the content is damaged.
        """
        start = len(_MAGIC) + _SIZES.size
        if content[: len(_MAGIC)] != _MAGIC or len(content) < start:
            raise InputError("not a batch of alerts", source=source, value=content[: len(_MAGIC)])
        header_size, body_size = _SIZES.unpack_from(content, len(_MAGIC))
        if len(content) != start + header_size + body_size:
            raise InputError("the batch of alerts is cut off", source=source, value=len(content))
        try:
            header = json.loads(content[start : start + header_size])
            ids = tuple(int(number) for number in header["ids"])
            visit, detector, sizes = int(header["visit"]), int(header["detector"]), [int(n) for n in header["sizes"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"damaged header of a batch of alerts: {error}", source=source) from error
        ends = list(accumulate(sizes, initial=start + header_size))
        if ends[-1] != len(content):
            raise InputError("the sizes of the packets do not add up", source=source, value=sum(sizes))
        return cls(visit, detector, ids, tuple(content[low:high] for low, high in pairwise(ends)))
