"""An exposure and a filter that tests look through."""

import numpy as np

from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.night.planned_exposure import PlannedExposure

WAVE = np.linspace(552.0, 691.0, 60)
BAND = Bandpass("r", WAVE, np.full(WAVE.size, 0.5))


def exposure(number: int = 1, **changes: object) -> PlannedExposure:
    facts = {
        "exposure": number, "day_obs": 20250101, "seq": number, "band": "r", "exposure_time_s": 30.0,
        "mjd_tai_begin": 60676.0, "ra_deg": 50.0, "dec_deg": -30.0, "rotation_deg": 20.0, "field": "f",
        "airmass": 1.3, "zenith_deg": 40.0, "parallactic_deg": 60.0, "seeing_arcsec": 0.9, "cloud_mag": 0.0,
        "sky_mag_arcsec2": 21.0, "sky_gradient": (0.0, 0.0), "moon_deg": 90.0, "moon_illumination": 0.0,
    }  # fmt: skip
    return PlannedExposure(**(facts | changes))
