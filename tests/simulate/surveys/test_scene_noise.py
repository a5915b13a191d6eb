"""The noise of frames of a drawn scene is that of counted electrons and of reading."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from etendue.simulate.random_streams import stream
from etendue.simulate.surveys.scene import make_scene
from etendue.simulate.surveys.survey import Survey

from .small import small

SEEDS = 100


@pytest.mark.slow
def test_frames_of_a_scene_have_poisson_and_read_noise_over_a_hundred_seeds():
    """Pixel by pixel about the expected light, sky, faint light and bright stars apart; a million pixels per frame."""
    plan = Survey.plan(small(ccd={"gain": {}, "read_noise": {}}), seed=3)
    detector, exposure = plan.detectors[0], plan.exposures[0]
    scene, ccd = make_scene(plan, exposure, detector), plan.ccd(detector)
    expected = scene.expected.astype(float)
    if scene.illumination is not None:
        expected *= scene.illumination
    gain, read = np.empty(expected.shape), np.empty(expected.shape)
    for amplifier, its_gain, its_noise in zip(detector.amplifiers, ccd.gains, ccd.read_noise, strict=True):
        inside = amplifier.bbox.slices_in(detector.bbox)
        gain[inside], read[inside] = its_gain, its_noise
    variance = expected + read**2 + gain**2 / 12.0
    usable = expected < 0.9 * 65535.0 * gain
    above_sky = expected - scene.sky * (1.0 if scene.illumination is None else scene.illumination)
    edges = [-np.inf, 1.0, 30.0, 1000.0, np.inf]
    bins = [usable & (above_sky >= low) & (above_sky < high) for low, high in pairwise(edges)]
    assert min(inside.sum() for inside in bins) > 300
    chi2, means, squares = [], np.zeros(len(bins)), np.zeros(len(bins))
    for seed in range(SEEDS):
        raw = ccd.expose(
            scene.expected, exposure.exposure_time_s, stream(seed, "noise"), sky=scene.sky,
            illumination=scene.illumination,
        ).raw  # fmt: skip
        residual = detector.trim(raw) * gain - expected
        pull = residual**2 / variance
        chi2.append(pull[usable].sum())
        means += [residual[inside].mean() / expected[inside].mean() for inside in bins]
        squares += [pull[inside].mean() for inside in bins]
    assert np.all(np.abs(means / SEEDS) < 0.01), means / SEEDS
    assert np.all(np.abs(squares / SEEDS - 1.0) < 0.01), squares / SEEDS
    p = stats.norm.sf((np.array(chi2) - usable.sum()) / np.sqrt(np.sum(2.0 + 1.0 / variance[usable])))
    assert stats.kstest(p, "uniform").pvalue > 1e-3
