"""What became of one raw frame."""

from dataclasses import dataclass
from typing import Literal

Transfer = Literal["copy", "link", "direct"]
Redelivered = Literal["refuse", "replace"]


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """What became of one frame, or of a file that is refused as a whole.

    Parameters
    ----------
    path : str
        File as given; it may hold several frames.
    status : str
        ``ingested``, ``replaced`` (a new delivery took the place of an old one), ``already there`` or ``refused``.
    reason : str
        Why it was refused, in one line.
    exposure : int or None
        Exposure ID where the header could be read.
    observation_type, physical_filter : str
        As in the header; empty where unknown.
    detector : int or None
        Detector ID where the header could be read.
    """

    path: str
    status: Literal["ingested", "replaced", "already there", "refused"]
    reason: str = ""
    exposure: int | None = None
    observation_type: str = ""
    physical_filter: str = ""
    detector: int | None = None
