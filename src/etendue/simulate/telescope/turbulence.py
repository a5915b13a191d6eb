"""Displacements of stars that the air leaves in an exposure."""

import numpy as np

from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.random_streams import stream
from etendue.simulate.telescope.random_field import RandomField, gradient_field, von_karman_spectrum
from etendue.simulate.telescope.spec import TurbulenceSpec
from etendue.simulate.telescope.two_point import read_two_point

_REFERENCE_S = 30.0


def turbulence(spec: TurbulenceSpec, exposure: PlannedExposure, *, reach_deg: float, seed: int) -> RandomField:
    """Draw the displacements of an exposure: without curl, correlated over the field, longer along the wind.

    Parameters
    ----------
    spec : TurbulenceSpec
        Size and scale in 30 s.
    exposure : PlannedExposure
        The exposure; longer ones average more.
    reach_deg : float
        Largest field angle [deg].
    seed : int
        Seed of the survey.

    Returns
    -------
    RandomField
        Displacements along the focal plane's axes [arcsec].
    """
    rng = stream(seed, "turbulence", exposure.exposure)
    measured = None if spec.two_point is None else read_two_point(spec.two_point)
    rms_mas = spec.rms_mas if measured is None else measured.rms_mas
    rms = 1e-3 * rms_mas * np.sqrt(_REFERENCE_S / max(exposure.exposure_time_s, 1.0))
    wind = float(rng.uniform(0.0, 180.0))
    return gradient_field(
        rng, rms=float(rms), scale_deg=spec.scale_deg if measured is None else measured.reach_deg, reach_deg=reach_deg,
        anisotropy=spec.anisotropy, wind_deg=wind,
        spectrum=von_karman_spectrum if measured is None else measured.spectrum,
    )  # fmt: skip
