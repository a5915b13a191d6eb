"""Shadows of dust on filters and windows: out of focus, each is an image of the pupil."""

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.simulate.random_streams import stream
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.spec import DustSpec, OpticsSpec

_SURFACES = ("filter", "window")
_SCATTER = 0.5  # of the logarithm of the losses


def dust_map(
    spec: DustSpec, optics: OpticsSpec, detector: Detector, place: DetectorPlace, band: str, reach_deg: float, seed: int
) -> NDArray[np.float32]:
    """Return the share of light that passes the dust to every pixel of a detector.

    Parameters
    ----------
    spec : DustSpec
        How much dust, and where.
    optics : OpticsSpec
        Cone of light and central obscuration.
    detector : Detector
        The detector.
    place : DetectorPlace
        Where it is.
    band : str
        Every filter has its own dust; the window's is the same for all.
    reach_deg : float
        Specks are drawn up to this field angle [deg].
    seed : int
        Seed of the survey.

    Returns
    -------
    ndarray, float32, shape (ny, nx)
    """
    share = np.ones(detector.bbox.shape, np.float32)
    for surface in _SURFACES:
        rng = stream(seed, f"dust on {surface} {band if surface == 'filter' else ''}")
        height, per_deg2 = getattr(spec, f"{surface}_mm"), getattr(spec, f"{surface}_per_deg2")
        radius = 0.5 * height / optics.f_ratio / detector.pixel_size_mm
        wide = reach_deg + radius * place.deg_per_px
        count = rng.poisson(per_deg2 * (2.0 * wide) ** 2)
        fx, fy = rng.uniform(-wide, wide, (2, count))
        loss = np.minimum(spec.loss * np.exp(_SCATTER * rng.standard_normal(count)), 0.9)
        x, y = place.to_pixel(field_x=fx, field_y=fy)
        for at_x, at_y, depth in zip(x, y, loss, strict=True):
            _shade(share, float(at_x), float(at_y), radius, optics.obscuration, float(depth))
    return share


def _shade(share: NDArray[np.float32], x: float, y: float, radius: float, obscuration: float, loss: float) -> None:
    """Take the light of one ring away; its edges are a pixel wide."""
    ny, nx = share.shape
    low_x, high_x = max(int(x - radius) - 2, 0), min(int(x + radius) + 3, nx)
    low_y, high_y = max(int(y - radius) - 2, 0), min(int(y + radius) + 3, ny)
    if low_x >= high_x or low_y >= high_y:
        return
    distance = np.hypot(np.arange(low_x, high_x)[None, :] - x, np.arange(low_y, high_y)[:, None] - y)
    inside = np.clip(radius - distance + 0.5, 0.0, 1.0) * np.clip(distance - obscuration * radius + 0.5, 0.0, 1.0)
    share[low_y:high_y, low_x:high_x] *= (1.0 - loss * inside).astype(np.float32)
