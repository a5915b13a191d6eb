"""How raw files hold frames."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from etendue.errors import InputError


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CubeSpec(_Spec):
    """Cubes (NAXIS3) of snaps: every plane is an exposure of its own, all of them one group.

    With a sequence number N in the header, the snaps have the numbers ``N * snaps``, ``N * snaps + 1``, ...; without
    one, the seconds of the night at which they begin.
    """

    snaps: int = Field(ge=1, le=1000)
    """Most planes that a cube of this camera can have."""

    gap_s: float = Field(0.0, ge=0.0)
    """Time from the end of a snap to the begin of the next [s]."""

    exposure_time: Literal["each", "total"] = "each"
    """Whether the header's exposure time is that of each snap or of all; with "total", of ``snaps`` planes."""

    def times(self, header_s: float, snap: int) -> tuple[float, float]:
        """Return how long a snap lasts and when it begins.

        Parameters
        ----------
        header_s : float
            Exposure time of the header [s].
        snap : int
            Plane, from 0.

        Returns
        -------
        exposure_time_s, wait_s : float
            Exposure time of the snap, and its begin after that of the first [s].
        """
        seconds = header_s if self.exposure_time == "each" else header_s / self.snaps
        return seconds, snap * (seconds + self.gap_s)

    def number(self, sequence: int, snap: int, source: object) -> int:
        """Return the sequence number of a snap.

        Parameters
        ----------
        sequence : int
            That of the header.
        snap : int
            Plane, from 0.
        source : object
            File named in errors.

        Returns
        -------
        int

        Raises
        ------
        InputError
            If it exceeds 99999.
        """
        number = sequence * self.snaps + snap
        if number >= 100_000:
            raise InputError("sequence number of a cube of snaps is too large", source=source, value=sequence,
                             remedy=f"{self.snaps} snaps each: give 'modulo: {100_000 // self.snaps}'")  # fmt: skip
        return number


class FileSpec(_Spec):
    """Layout of a camera's raw files."""

    detectors: Literal["one", "many"] = "one"
    """Whether a file holds the frame of one detector, or frames of many, each in an extension of its own (or in one
    extension per amplifier). Extensions of other detectors, such as guiders, are passed over."""

    cube: CubeSpec | None = None
    """What the planes of a cube are; without this, cubes are refused."""

    bits: int = Field(16, ge=8, le=32)
    """Bits of the converter; the simulator clips at the largest number, and writes 32-bit integers above 16."""
