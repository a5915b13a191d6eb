"""The light that saturated stars spread over the image."""

import numpy as np
import pytest

from etendue.app.pixels import as_exposure
from etendue.tasks.background.haloes import SubtractHaloesTask

SIDE, SIGMA, FULL = 400, 5.0, 2e4
STARS = ((120.0, 150.0, 4e6), (290.4, 250.7, 2e6))  # x, y, light at 1 px


def light(x, y, peak):
    row, column = np.mgrid[:SIDE, :SIDE]
    return peak / np.maximum(np.hypot(column - x, row - y), 1.0) ** 2


@pytest.fixture(scope="module")
def field():
    """Return an exposure with two saturated stars and a faint one beside the first, and the light of the two."""
    rng, haloes = np.random.default_rng(3), sum(light(*star) for star in STARS)
    row, column = np.mgrid[:SIDE, :SIDE]
    faint = 3000.0 * np.exp(-0.5 * ((column - 160) ** 2 + (row - 150) ** 2) / 2.0)
    scene = haloes + faint
    pixels = np.minimum(scene + np.sqrt(SIGMA**2 + scene) * rng.standard_normal(scene.shape), FULL)
    return as_exposure(pixels, variance=SIGMA**2 + scene), haloes, faint


def test_haloes_are_told_from_what_lies_in_them(field):
    exposure, haloes, faint = field
    found = SubtractHaloesTask().run(exposure)
    np.testing.assert_allclose(np.sort(found.x), [120.0, 290.4], atol=0.5)
    saturated = exposure.mask.any_of("SAT")
    near = ~saturated & (haloes > 100.0)
    assert abs(np.median(found.light[near] / haloes[near]) - 1.0) < 0.01
    left = found.exposure.image.array[140:161, 150:171] - faint[140:161, 150:171]
    assert abs(left.sum()) < 0.1 * faint.sum()  # of what was 30 times as much


def test_nothing_changes_without_saturated_stars(field):
    exposure, *_ = field
    plain = exposure.replace(mask=exposure.mask.without_plane("SAT"))
    found = SubtractHaloesTask().run(plain)
    assert found.x.size == 0
    np.testing.assert_array_equal(found.exposure.image.array, plain.image.array)
