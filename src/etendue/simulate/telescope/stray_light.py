"""Haloes, diffraction spikes and ghosts of bright stars."""

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.kernels.stray_light import add_discs, add_haloes, add_spikes
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.spec import OpticsSpec, StraySpec

Vector = NDArray[np.float64]


def add_stray_light(
    image: NDArray[np.float32],
    x: Vector,
    y: Vector,
    electrons: Vector,
    spec: StraySpec,
    optics: OpticsSpec | None,
    detector: Detector,
    place: DetectorPlace,
) -> None:
    """Add what bright stars do beyond their PSF; stars outside the detector count too.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Expected electrons, changed in place.
    x, y : ndarray, float64, shape (n,)
        Trimmed pixels of the stars.
    electrons : ndarray, float64, shape (n,)
        Their electrons in the exposure.
    spec : StraySpec
        What is added.
    optics : OpticsSpec or None
        Vanes that make the spikes, and the pupil's shadow in ghosts.
    detector : Detector
        The detector.
    place : DetectorPlace
        Where it is on the focal plane.
    """
    per_arcsec = 1.0 / (3600.0 * place.deg_per_px)
    limit = spec.faintest_electrons
    if spec.halo_fraction > 0.0:
        core = spec.halo_core_arcsec * per_arcsec
        add_haloes(image, x, y, spec.halo_fraction * electrons, core, limit)
    vanes = optics.vanes if optics is not None else 0
    if spec.spike_fraction > 0.0 and vanes:
        angles = np.unique(np.round((np.arange(vanes) * 360.0 / vanes) % 180.0, 6)) + 90.0 - place.turn_deg
        share = spec.spike_fraction * electrons / angles.size
        width, core = spec.spike_width_arcsec * per_arcsec, spec.spike_core_arcsec * per_arcsec
        for angle in np.radians(angles):
            add_spikes(image, x, y, share, float(np.cos(angle)), float(np.sin(angle)), width, core, limit)
    inner = optics.obscuration if optics is not None else 0.0
    fx, fy = place.to_field(x=x, y=y)
    for ghost in spec.ghosts:
        gx, gy = place.to_pixel(field_x=ghost.magnification * fx, field_y=ghost.magnification * fy)
        radius = ghost.radius_mm / detector.pixel_size_mm
        add_discs(image, gx, gy, ghost.fraction * electrons, radius, inner * radius, 0.02 * limit)
