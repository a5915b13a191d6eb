"""Where a frame is on the sky, by its star pattern, when its header does not say it."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from etendue.app.processing.masters import Masters
from etendue.camera.camera import Camera
from etendue.camera.raw import RawFrame
from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.refcat.star_index import StarIndex
from etendue.tasks.astrometry.find_stars import FindStarsTask, FoundStars
from etendue.tasks.astrometry.solve import SolvedField, SolveFieldTask
from etendue.tasks.isr.isr import IsrTask
from etendue.tasks.match.blind import SkyHint

_POINTING_RADIUS_DEG = 3.0
_SCALE_TOLERANCE = 0.1


def located(raw: RawFrame, camera: Camera, masters: Masters, index: str) -> RawFrame:
    """Return the frame with the WCS that its star pattern has in an index.

    The header's pointing and the camera's plate scale are tried first, then the whole sky at any scale.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    camera : Camera
        Its camera.
    masters : Masters
        Its calibrations.
    index : str
        Reference catalog with a star index (``etendue refcat index``).

    Returns
    -------
    RawFrame
        With another ``info.wcs``.

    Raises
    ------
    InputError
        If there is no index.
    AlgorithmError
        If the frame has no stars, or no position is certain.
    """
    opened = _opened(index)
    exposure = IsrTask().run(raw=raw, camera=camera, bias=masters.bias, flat=masters.flat)
    stars = FindStarsTask().run(exposure=exposure)
    box = exposure.bbox
    solved = None
    if np.isfinite(raw.info.ra_deg + raw.info.dec_deg):
        hint = SkyHint(raw.info.ra_deg, raw.info.dec_deg, _POINTING_RADIUS_DEG)
        scales = (camera.plate_scale * (1.0 - _SCALE_TOLERANCE), camera.plate_scale * (1.0 + _SCALE_TOLERANCE))
        solved = _solve(stars, box, opened, hint, scales)
    wcs = (solved or _solved(stars, box, opened)).wcs
    return replace(raw, info=replace(raw.info, wcs=wcs, wcs_is_approximate=False))


@lru_cache(maxsize=2)
def _opened(index: str) -> StarIndex:
    return StarIndex.open(Path(index))


def _solve(
    stars: FoundStars, box: Box, index: StarIndex, hint: SkyHint, scales: tuple[float, float]
) -> SolvedField | None:
    try:
        return _solved(stars, box, index, hint, scales)
    except AlgorithmError:
        return None  # pointings and scales are wrong now and then


def _solved(
    stars: FoundStars,
    box: Box,
    index: StarIndex,
    hint: SkyHint | None = None,
    scales: tuple[float, float] | None = None,
) -> SolvedField:
    return SolveFieldTask().run(
        x=stars.x, y=stars.y, flux=stars.flux, bbox=box, index=index, x_err=stars.x_err, y_err=stars.y_err, hint=hint,
        scale_range_arcsec=scales,
    )  # fmt: skip
