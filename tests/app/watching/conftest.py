"""Give a template that another program might have made: other pixel scale, rotated, unknown zero point, no variance."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.wcs_header import write_wcs
from etendue.simulate.population.moment import Moment
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey
from small_surveys import DEC_DEG, RA_DEG

SIZE, HALF, SIGMA = 1600, 12, 1.5


def write_template(path: Path, spec: SurveySpec, *, seed: int, wcs_cards: bool = True) -> None:
    """Draw the stars of a survey, without its variables and transients, as sampled Gaussians."""
    survey = Survey.plan(spec, seed)
    scale, angle = 0.8 * survey.camera.plate_scale / 3600.0, np.radians(10.0)
    cd = scale * np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wcs = SkyWcs.tan(crpix_x=SIZE / 2, crpix_y=SIZE / 2, crval_ra_deg=RA_DEG, crval_dec_deg=DEC_DEG, cd=cd)
    stars = next(layer for layer in survey.layers if layer.name == "stars")
    first = survey.exposures[0]
    seen = stars.lights(Moment(survey.bandpasses["r"], first.mjd_tai_mid, first.exposure_time_s, RA_DEG, DEC_DEG, 0.5,
                               survey.camera.observatory))  # fmt: skip
    x, y = wcs.sky_to_pixel(ra_deg=seen.ra_deg, dec_deg=seen.dec_deg)
    flux = 10 ** (-0.4 * (seen.mag - 27.3))
    rng = np.random.default_rng(seed)
    image = 500.0 + rng.normal(0.0, 2.0, (SIZE, SIZE))
    offset = np.arange(-HALF, HALF + 1)
    inside = (x > HALF) & (y > HALF) & (x < SIZE - HALF - 1) & (y < SIZE - HALF - 1)
    for xi, yi, fi in zip(x[inside], y[inside], flux[inside], strict=True):
        col, row = round(xi), round(yi)
        profile = [np.exp(-0.5 * ((offset - shift) / SIGMA) ** 2) for shift in (yi - row, xi - col)]
        image[row - HALF : row + HALF + 1, col - HALF : col + HALF + 1] += (
            fi * np.outer(*profile) / (2 * np.pi * SIGMA**2)
        )
    cards = write_wcs(wcs, Box.from_shape(image.shape))[0] if wcs_cards else {}
    fits.PrimaryHDU(image.astype(np.float32), fits.Header(list(cards.items()))).writeto(path)


@pytest.fixture(scope="session")
def template_writer():
    """Return the function that draws a template."""
    return write_template
