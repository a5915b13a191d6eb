"""One readout amplifier: where its pixels are in the raw frame and what they mean."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from etendue.camera.section import Section
from etendue.geom.box import Box


class Amplifier(BaseModel):
    """Geometry and electronics of one amplifier.

    Boxes are written in YAML as FITS sections ``[x1:x2,y1:y2]``; in Python they are zero-based `Box`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """Name, unique within the detector."""

    raw_data: Section
    """Light-sensitive pixels in the raw frame."""

    bbox: Section
    """The same pixels in the trimmed detector frame."""

    raw_serial_overscan: Section | None = None
    """Overscan columns beside the data (one bias level per row)."""

    raw_parallel_overscan: Section | None = None
    """Overscan rows above or below the data."""

    raw_prescan: Section | None = None
    """Prescan columns."""

    raw_bbox: Section | None = None
    """Everything that this amplifier reads; needed where its pixels are an extension of their own."""

    extension: str | int | None = None
    """Extension of the file that holds the pixels of ``raw_bbox``, by EXTNAME or number, in files of one extension per
    amplifier."""

    overscan_extension: str | int | None = None
    """Extension that holds the serial overscan, where it is apart; ``extension`` then holds ``raw_data`` alone."""

    flip_x: bool = False
    """Whether columns run backwards in the raw frame."""

    flip_y: bool = False
    """Whether rows run backwards in the raw frame."""

    gain: float = Field(1.0, gt=0.0)
    """Electrons per ADU [e/ADU]."""

    read_noise: float = Field(0.0, ge=0.0)
    """Read noise [e]."""

    saturation: float = Field(65535.0, gt=0.0)
    """Raw pixels at or above this level are saturated [ADU, bias included]."""

    @model_validator(mode="after")
    def _check_shapes(self) -> Self:
        if self.raw_data.shape != self.bbox.shape:
            raise ValueError(
                f"amplifier {self.name}: raw_data is {self.raw_data.shape} pixels (ny, nx), bbox {self.bbox.shape}"
            )
        apart = self.overscan_extension is not None
        if self.extension is not None and not apart and self.raw_bbox is None:
            raise ValueError(f"amplifier {self.name}: say as raw_bbox where its extension lies in the raw frame")
        if apart and (self.extension is None or self.raw_serial_overscan is None):
            raise ValueError(f"amplifier {self.name}: overscan_extension needs extension and raw_serial_overscan")
        return self

    def pieces(self) -> tuple[tuple[str | int, Box], ...]:
        """Return the extensions that hold this amplifier, and where their pixels go in the raw frame.

        Returns
        -------
        tuple of (str or int, Box)
            Empty where the amplifier is no extension of its own.
        """
        if self.extension is None:
            return ()
        if self.overscan_extension is not None and self.raw_serial_overscan is not None:
            return (self.extension, self.raw_data), (self.overscan_extension, self.raw_serial_overscan)
        return ((self.extension, self.raw_bbox),) if self.raw_bbox is not None else ()
