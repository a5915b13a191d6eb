"""Crowded fields: stars in the light of others are found and measured."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.psf import GaussianMixturePsf
from etendue.tasks.characterize.crowded import FindCrowdedConfig, FindCrowdedTask
from etendue.tasks.detect.detect import DetectTask
from etendue.tasks.measure.measure import MeasureConfig, MeasureTask

SIDE, SKY, STARS = 256, 300.0, 650  # a star on a hundred pixels; the FWHM is 3.3 px
PSF = GaussianMixturePsf([0.8, 0.2], [1.69, 6.76], [1.69, 6.76], [0.0, 0.0], 31)


@pytest.fixture(scope="module")
def field():
    rng = np.random.default_rng(21)
    x, y = rng.uniform(0, SIDE, STARS), rng.uniform(0, SIDE, STARS)
    flux = np.minimum(300.0 * rng.random(STARS) ** -0.9, 2e5)
    light, stamps = np.zeros((SIDE + 80, SIDE + 80)), PSF.draw(x=x + 40, y=y + 40)
    for value, row, col, one in zip(stamps.value, stamps.y0, stamps.x0, flux, strict=True):
        light[row : row + 31, col : col + 31] += one * value
    light, box = light[40:-40, 40:-40], Box.from_shape((SIDE, SIDE), y0=50, x0=900)
    image = Image((rng.poisson(light + SKY) - SKY).astype(np.float32), box)
    variance = Image((light + SKY).astype(np.float32), box)
    exposure = Exposure(image=image, mask=Mask.empty(box), variance=variance, psf=PSF, unit="electron")
    return exposure, x + 900, y + 50, flux


def recovered(found, x, y, flux):
    """Tell which true stars have a measured one of their own, the brightest first."""
    tree, used, own = cKDTree(np.column_stack([found.x, found.y])), set(), np.full(flux.size, -1)
    for star in np.argsort(-flux):
        for one in tree.query_ball_point((x[star], y[star]), 1.2):
            if one not in used:
                used.add(one)
                own[star] = one
                break
    return own


def test_stars_hidden_by_others_are_found_and_measured(field):
    exposure, x, y, flux = field
    first = DetectTask().run(exposure=exposure)
    found = FindCrowdedTask().run(exposure=first.exposure, detected=first)
    stamp = PSF.stamp(x=0.0, y=0.0)
    bright = flux / np.sqrt(flux + SKY / (stamp**2).sum()) > 10.0
    before, after = recovered(first, x, y, flux)[bright] >= 0, recovered(found, x, y, flux)[bright] >= 0
    assert before.mean() < 0.92
    assert after.mean() > 0.95
    columns = MeasureTask().run(exposure=found.exposure, x=found.x, y=found.y)
    own = recovered(columns, x, y, flux)
    use = bright & (own >= 0)
    pull = (columns.psf_flux[own[use]] - flux[use]) / columns.psf_flux_err[own[use]]
    assert abs(np.median(pull)) < 0.7
    assert 1.48 * np.median(np.abs(pull - np.median(pull))) < 1.6
    assert np.mean(np.isin(np.arange(found.x.size), own, invert=True)) < 0.06


def test_an_isolated_star_stays_one_star(field):
    exposure, *_ = field
    light = np.zeros((SIDE, SIDE))
    stamp = PSF.draw(x=100.3, y=90.6)
    light[stamp.y0[0] : stamp.y0[0] + 31, stamp.x0[0] : stamp.x0[0] + 31] = 1e6 * stamp.value[0]
    noisy = np.random.default_rng(3).poisson(light + SKY) - SKY
    alone = exposure.replace(
        image=Image(noisy.astype(np.float32), exposure.bbox),
        variance=Image((light + SKY).astype(np.float32), exposure.bbox),
    )
    first = DetectTask().run(exposure=alone)
    found = FindCrowdedTask().run(exposure=first.exposure, detected=first)
    assert np.count_nonzero(np.hypot(found.x - 1000.3, found.y - 140.6) < 20.0) == 1
    assert found.x.size <= first.x.size + 1  # noise that disturbs nobody is no star either


def test_a_list_that_cannot_be_fitted_is_given_back(field):
    exposure, *_ = field
    first = DetectTask().run(exposure=exposure)
    task = FindCrowdedTask(FindCrowdedConfig(rounds=1), measure=MeasureConfig(sweeps=(1,)))
    assert task.run(exposure=exposure, detected=first).x.size >= 0.9 * first.x.size
