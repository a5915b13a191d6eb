"""Pixels with everything known about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.content import content_digest
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.aperture_correction import ApertureCorrection
from etendue.image.background import Background
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.noise import NoiseAutocorrelation
from etendue.image.photo_calib import PhotoCalib
from etendue.image.valid_polygon import Polygon
from etendue.image.visit_info import VisitInfo

if TYPE_CHECKING:
    from etendue.image.psf import Psf

UNITS = ("adu", "electron", "nJy", "")


@dataclass(frozen=True, eq=False, kw_only=True)
class Exposure:
    """Image, mask and variance of one box of pixels, and their shared, immutable parts.

    Parameters
    ----------
    image : Image
        Pixels [``unit``].
    mask : Mask
        Named planes.
    variance : Image
        Variance of the pixel noise [``unit**2``].
    psf : Psf, optional
        Point spread function.
    wcs : SkyWcs, optional
        Parent pixels to sky.
    photo_calib : PhotoCalib, optional
        Flux scale.
    background : Background, optional
        What was subtracted from the image [``unit``].
    aperture_corrections : mapping of str to ApertureCorrection
        By the flux that each is of, such as ``ap06Flux`` or ``kronFlux``.
    noise : NoiseAutocorrelation, optional
        Correlation of neighbouring pixels; None stands for white noise.
    band, physical_filter : str
        Abstract band ("r") and the filter's own name.
    visit_info : VisitInfo, optional
        When and where it was taken.
    detector : int
        Detector id.
    inputs : tuple of mapping
        What a coadd or warp was made of, JSON-able.
    valid_polygon : Polygon, optional
        Outline of the usable pixels.
    unit : {"adu", "electron", "nJy", ""}
        Unit of the image; "" for ratios such as flats.
    metadata : mapping
        JSON-able facts without a place of their own.

    Raises
    ------
    InputError
        If the planes do not cover one box, or the unit is unknown.
    """

    image: Image
    mask: Mask
    variance: Image
    psf: Psf | None = None
    wcs: SkyWcs | None = None
    photo_calib: PhotoCalib | None = None
    background: Background | None = None
    aperture_corrections: Mapping[str, ApertureCorrection] = field(default_factory=dict)
    noise: NoiseAutocorrelation | None = None
    band: str = ""
    physical_filter: str = ""
    visit_info: VisitInfo | None = None
    detector: int = 0
    inputs: tuple[Mapping[str, Any], ...] = ()
    valid_polygon: Polygon | None = None
    unit: str = "nJy"
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("mask", "variance"):
            box = getattr(self, name).bbox
            if box != self.image.bbox:
                raise InputError(f"{name} covers {box.to_list()}, image covers {self.image.bbox.to_list()}")
        if self.unit not in UNITS:
            raise InputError("unknown image unit", value=self.unit, remedy=f"use one of {', '.join(map(repr, UNITS))}")
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "detector", int(self.detector))

    @property
    def bbox(self) -> Box:
        """Pixels covered, parent coordinates."""
        return self.image.bbox

    @property
    def fwhm(self) -> float:
        """FWHM of the PSF at the centre [px]; NaN without a PSF."""
        if self.psf is None:
            return float("nan")
        return float(np.ravel(self.psf.fwhm(x=self.bbox.x.center, y=self.bbox.y.center))[0])

    def njy_per_unit(self, *, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the flux of one image unit.

        Parameters
        ----------
        x, y : ndarray, float64, shape (n,)
            Positions, parent pixels.

        Returns
        -------
        ndarray, float64, shape (n,)
            In nJy; 1 for images in nJy and those without a flux scale.
        """
        if self.unit == "nJy" or self.photo_calib is None:
            return np.ones(np.shape(x))
        return self.photo_calib.scale_at(x=x, y=y)

    def replace(self, **parts: Any) -> Exposure:
        """Return an exposure with some parts exchanged; the others are shared.

        Parameters
        ----------
        **parts : object
            Constructor keywords.

        Returns
        -------
        Exposure
        """
        return replace(self, **parts)

    def subset(self, box: Box) -> Exposure:
        """Return the part inside a box: pixels are views, other parts are shared.

        Parameters
        ----------
        box : Box
            Parent coordinates; must lie inside.

        Returns
        -------
        Exposure
        """
        return replace(
            self, image=self.image.subset(box), mask=self.mask.subset(box), variance=self.variance.subset(box)
        )

    def content_hash(self) -> str:
        """Return the hash of pixels and parts.

        Returns
        -------
        str
            32 hexadecimal digits.

        Notes
        -----
        Files quantise pixels, so products are compared by the hashes of exposures read back.
        ``metadata`` and ``inputs`` (ids, timings, provenance) do not count.
        """
        return content_digest(
            [
                self.image.content_hash(),
                self.mask.content_hash(),
                self.variance.content_hash(),
                None if self.psf is None else self.psf.content_hash(),
                *self._part_states(),
                [self.band, self.physical_filter, self.detector, self.unit],
            ]
        )

    def _part_states(self) -> list[Any]:
        parts = (self.wcs, self.photo_calib, self.background, self.visit_info)
        states: list[Any] = [None if part is None else part.to_dict() for part in parts]
        states.append(None if self.noise is None else self.noise.kernel.tolist())
        states.append(None if self.valid_polygon is None else self.valid_polygon.to_list())
        states.append([[name, c.to_dict()] for name, c in sorted(self.aperture_corrections.items())])
        return states
