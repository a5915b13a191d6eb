"""Small surveys whose catalogs are made in a second."""

from pathlib import Path

import numpy as np

from etendue.simulate.catalogs.catalog_maker import CatalogMaker
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey

RA, DEC = 330.1, -29.9
CALM = {"cloudy_nights": 0.0, "sky_gradient": 0.0, "moon": False}
STILL = {"vignetting": None, "distortion": None, "turbulence": None}


def spec_of(
    sky: dict,
    catalog: dict,
    bands: str = "r",
    nights: int = 1,
    center: tuple[float, float] = (RA, DEC),
    **changes: object,
) -> SurveySpec:
    """Return a survey of one field with simcam."""
    content = {
        "name": "catalogs",
        "area_m2": 2.0,
        "cadence": {
            "start": "2025-09-30",
            "fields": [{"name": "field", "ra_deg": center[0], "dec_deg": center[1]}],
            "exposure_time_s": 30.0,
            "nights": [{"day": day, "bands": bands} for day in range(nights)],
        },
        "conditions": CALM,
        "sky": {"stars": None, "galaxies": None} | sky,
        "telescope": STILL,
        "catalog": catalog,
    }
    return SurveySpec.parse(content | changes, "catalogs")


def maker_of(spec: SurveySpec, seed: int = 3) -> CatalogMaker:
    return CatalogMaker(Survey.plan(spec, seed))


def star_table(path: Path, count: int, brightest: float, faintest: float) -> Path:
    """Write stars that are uniform over the field and in magnitude."""
    rng = np.random.default_rng(11)
    ra = RA + rng.uniform(-0.17, 0.17, count) / np.cos(np.radians(DEC))
    dec = DEC + rng.uniform(-0.09, 0.09, count)
    mag = rng.uniform(brightest, faintest, count)
    np.savetxt(path, np.stack([ra, dec, mag], axis=-1), delimiter=",", header="ra,dec,mag_r", comments="", fmt="%.9f")
    return path
