"""One CCD: its amplifiers, size and place on the focal plane."""

from collections.abc import Sequence
from functools import cached_property, lru_cache, reduce
from itertools import combinations
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from etendue.camera.amplifier import Amplifier
from etendue.camera.section import format_section, parse_section
from etendue.errors import InputError
from etendue.geom.box import Box


class Detector(BaseModel):
    """One CCD of a camera."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: int = Field(ge=0, le=511)
    """Detector number, as in data IDs."""

    name: str
    """Short name."""

    serial: str = ""
    """Manufacturer's serial number."""

    purpose: Literal["science", "wavefront", "focus", "guider"] = "science"
    """What it is for."""

    raw_shape: tuple[int, int]
    """Rows and columns of the raw frame ``(ny, nx)`` [px]."""

    amplifiers: tuple[Amplifier, ...] = Field(min_length=1)
    """Readout amplifiers; together they tile the trimmed frame."""

    center_mm: tuple[float, float] = (0.0, 0.0)
    """Focal-plane position ``(x, y)`` of the detector centre [mm]."""

    rotation_deg: float = 0.0
    """Angle from the focal plane's x axis to the detector's rows [deg]."""

    pixel_size_mm: float = Field(0.015, gt=0.0)
    """Side of a (binned) pixel [mm]."""

    bad_regions: tuple[str, ...] = ()
    """Known defects in the trimmed frame, as FITS sections."""

    crosstalk: tuple[tuple[float, ...], ...] | None = None
    """Crosstalk between the amplifiers in the order of their list: ``[victim][aggressor]``, the share of the
    aggressor's signal that shows in the victim [ADU/ADU]."""

    @model_validator(mode="after")
    def _check_tiling(self) -> Self:
        names = [amplifier.name for amplifier in self.amplifiers]
        if len(set(names)) != len(names):
            raise ValueError(f"detector {self.name}: amplifier names repeat: {names}")
        if fault := tiling_fault(self.amplifiers, self.bbox):
            raise ValueError(f"detector {self.name}: the amplifiers' bbox leave gaps or overlap: {fault}")
        for amplifier in self.amplifiers:
            for what in ("raw_data", "raw_serial_overscan", "raw_parallel_overscan", "raw_prescan", "raw_bbox"):
                box = getattr(amplifier, what)
                if box is not None and not self.raw_bbox.contains_box(box):
                    raise ValueError(f"amplifier {amplifier.name}: {what} lies outside raw_shape {self.raw_shape}")
        if any(a.extension is not None for a in self.amplifiers) and any(a.extension is None for a in self.amplifiers):
            raise ValueError(f"detector {self.name}: give every amplifier an extension, or none")
        return self

    @model_validator(mode="after")
    def _check_crosstalk(self) -> Self:
        n = len(self.amplifiers)
        if self.crosstalk is not None and (
            len(self.crosstalk) != n or any(len(row) != n or row[k] != 0.0 for k, row in enumerate(self.crosstalk))
        ):
            raise ValueError(f"detector {self.name}: crosstalk is no matrix of {n} x {n} with zeros on its diagonal")
        return self

    @field_validator("bad_regions")
    @classmethod
    def _check_regions(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(format_section(parse_section(region)) for region in regions)
        except InputError as error:
            raise ValueError(str(error)) from None

    @cached_property
    def bbox(self) -> Box:
        """Box of the trimmed frame."""
        box = self.amplifiers[0].bbox
        for amplifier in self.amplifiers[1:]:
            box = box.union(amplifier.bbox)
        return box

    @property
    def raw_bbox(self) -> Box:
        """Box of the raw frame."""
        return Box.from_shape(self.raw_shape)

    @property
    def pieces(self) -> tuple[tuple[str | int, Box], ...]:
        """Extensions that hold the amplifiers, and where they go in the raw frame; empty for a frame in one piece."""
        return tuple(piece for amplifier in self.amplifiers for piece in amplifier.pieces())

    def trim(self, raw: NDArray) -> NDArray:
        """Assemble the light-sensitive pixels.

        Parameters
        ----------
        raw : ndarray, shape (ny, nx)
            Raw frame of shape `raw_shape`.

        Returns
        -------
        ndarray
            The trimmed frame, shape of `bbox`, same dtype.

        Raises
        ------
        InputError
            If ``raw`` has another shape.
        """
        self.check_shape(raw.shape)
        trimmed = np.empty(self.bbox.shape, dtype=raw.dtype)
        for amplifier in self.amplifiers:
            pixels = raw[amplifier.raw_data.slices_in(self.raw_bbox)]
            step_y, step_x = (-1 if amplifier.flip_y else 1), (-1 if amplifier.flip_x else 1)
            trimmed[amplifier.bbox.slices_in(self.bbox)] = pixels[::step_y, ::step_x]
        return trimmed

    def check_shape(self, shape: tuple[int, ...], source: object = None) -> None:
        """Refuse an array that is not a raw frame of this detector.

        Parameters
        ----------
        shape : tuple of int
            Shape of the array.
        source : object, optional
            File named in the error.

        Raises
        ------
        InputError
            If the shape is not `raw_shape`.
        """
        if tuple(shape) != self.raw_shape:
            raise InputError(
                f"frame has the wrong size for detector {self.name} {self.raw_shape} (ny, nx)",
                source=source,
                value=tuple(shape),
                remedy="use an unbinned, full raw frame or correct raw_shape in the camera YAML",
            )


def tiling_fault(amplifiers: Sequence[Amplifier], whole: Box) -> str:
    """Tell where the amplifiers' places in the trimmed frame overlap or leave a gap.

    Parameters
    ----------
    amplifiers : sequence of Amplifier
        The amplifiers.
    whole : Box
        The box around them all.

    Returns
    -------
    str
        The first fault; empty if they tile the frame.
    """
    if _tiles(tuple(amplifier.bbox for amplifier in amplifiers)):
        return ""
    for one, other in combinations(amplifiers, 2):
        shared = one.bbox.intersection(other.bbox)
        if shared.area:
            return f"{one.name} and {other.name} share {format_section(shared)}"
    covered = np.zeros(whole.shape, bool)
    for amplifier in amplifiers:
        covered[amplifier.bbox.slices_in(whole)] = True
    rows, columns = np.nonzero(~covered)
    gap = Box.from_list([rows.min(), rows.max() + 1, columns.min(), columns.max() + 1])
    return f"no amplifier has {format_section(gap.shifted(dy=whole.y.start, dx=whole.x.start))}"


@lru_cache(maxsize=64)  # the detectors of a mosaic have the same few layouts
def _tiles(boxes: tuple[Box, ...]) -> bool:
    whole = reduce(Box.union, boxes)
    apart = all(one.intersection(other).area == 0 for one, other in combinations(boxes, 2))
    return apart and sum(box.area for box in boxes) == whole.area
