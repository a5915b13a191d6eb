"""One sky for the detectors of a visit."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.background.background import SubtractBackgroundTask
from etendue.tasks.background.visit_sky import VisitSkyConfig, VisitSkyTask

SIDE, SIGMA, SCALE = 384, 20.0, 0.2 / 3600.0


def _visit(galaxy=0.0):
    """Return four detectors side by side, and the sky of each; a galaxy fills the second."""
    rng = np.random.default_rng(2)
    exposures, skies = [], []
    for k in range(4):
        y, x = np.mgrid[:SIDE, :SIDE] + np.array([SIDE * (k // 2), SIDE * (k % 2)])[:, None, None] - SIDE
        sky = 400.0 + 0.05 * x - 0.03 * y + 1e-4 * x * y
        light = galaxy * np.exp(-np.hypot(x - SIDE / 2, y + SIDE / 2) / 40.0)
        box = Box.from_shape(sky.shape)
        wcs = SkyWcs.tan(
            crpix_x=SIDE - SIDE * (k % 2), crpix_y=SIDE - SIDE * (k // 2), crval_ra_deg=359.99, crval_dec_deg=20.0,
            cd=np.array([[-SCALE, 0.0], [0.0, SCALE]]),
        )  # fmt: skip
        image = (sky + light + SIGMA * rng.standard_normal(sky.shape)).astype(np.float32)
        variance = Image(np.full_like(image, SIGMA**2), box)
        exposures.append(Exposure(image=Image(image, box), mask=Mask.empty(box), variance=variance, wcs=wcs))
        skies.append(sky)
    return exposures, skies


def _off(result, skies):
    return [exposure.background.image().array - sky for exposure, sky in zip(result.exposures, skies, strict=True)]


def test_a_galaxy_that_fills_a_detector_is_no_sky_of_the_visit():
    exposures, skies = _visit(galaxy=300.0)
    result = VisitSkyTask(VisitSkyConfig(order=2)).run(exposures=exposures)
    alone = [SubtractBackgroundTask().run(exposure=e).background.image().array - s
             for e, s in zip(exposures, skies, strict=True)]  # fmt: skip
    off = _off(result, skies)
    assert max(np.abs(one).max() for one in off) < 0.1 * SIGMA
    assert np.abs(off[1]).mean() < 0.2 * np.abs(alone[1]).mean()
    assert result.share > 0.5


def test_what_was_subtracted_before_does_not_matter():
    exposures, _ = _visit()
    once = [SubtractBackgroundTask().run(exposure=exposure).exposure for exposure in exposures]
    results = [VisitSkyTask().run(exposures=given) for given in (exposures, once)]
    for one, other in zip(*(result.exposures for result in results), strict=True):
        np.testing.assert_allclose(one.image.array, other.image.array, atol=0.05 * SIGMA)
    assert np.abs(results[0].offsets).max() < 0.05 * SIGMA


def test_a_visit_without_exposures_or_wcs_or_sky_is_refused():
    exposures, _ = _visit()
    with pytest.raises(InputError, match="needs its exposures"):
        VisitSkyTask().run(exposures=[])
    with pytest.raises(InputError, match="WCS"):
        VisitSkyTask().run(exposures=[exposures[0].replace(wcs=None)])
    with pytest.raises(AlgorithmError, match="lower its order"):
        VisitSkyTask(VisitSkyConfig(order=8)).run(exposures=exposures[:1])
