"""What a watch tells while it goes on."""

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True, slots=True)
class Note:
    """A line about something that is no frame, or went wrong, or is going on.

    Parameters
    ----------
    text : str
        One line.
    kind : {"note", "refused", "warning", "problem", "status"}
        What it is; a status holds until the next one.
    """

    text: str
    kind: Literal["note", "refused", "warning", "problem", "status"] = "note"

    def to_dict(self) -> dict[str, Any]:
        """Return it JSON-able."""
        return {"event": self.kind, "text": self.text}


@dataclass(frozen=True, slots=True)
class FrameDone:
    """What was made of one frame.

    Parameters
    ----------
    frame : str
        Name of the raw file.
    visit, detector : int
        Which.
    band : str
        Band.
    seeing_arcsec : float
        FWHM [arcsec]; NaN if the frame was not calibrated.
    zero_point_mag : float
        Magnitude of one electron; on a relative scale without a reference catalog [mag].
    zero_point_kind : str
        "absolute", "relative" or "".
    n_source, n_dia_source : int
        Detections on the image and on its difference; -1 where there is none.
    new_movers : int
        Tracks that no detection of an earlier look belongs to, on the last frame of a batch.
    problem : str
        What went wrong; empty if nothing did.
    latency_s : float
        From the last byte of the file to the difference in the repository [s]; NaN where another process saw it come.
    """

    kind: ClassVar[Literal["frame"]] = "frame"
    frame: str
    visit: int
    detector: int
    band: str
    seeing_arcsec: float
    zero_point_mag: float
    zero_point_kind: str
    n_source: int
    n_dia_source: int
    new_movers: int
    problem: str
    latency_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return it JSON-able: None for what is unknown."""
        values = asdict(self).items()
        unknown = {name: None for name, value in values if isinstance(value, float) and math.isnan(value)}
        return {"event": "frame", **dict(values), **unknown}


Event = Note | FrameDone
