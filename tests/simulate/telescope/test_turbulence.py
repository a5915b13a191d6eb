"""Displacements have the size, the correlation and the lack of curl of the atmosphere's."""

import numpy as np
import pytest

from etendue.simulate.telescope.spec import TurbulenceSpec
from etendue.simulate.telescope.turbulence import turbulence

from .scene import exposure


def fields(count=60, seconds=30.0, **spec):
    chosen = TurbulenceSpec(rms_mas=15.0, **spec)
    return [turbulence(chosen, exposure(n, exposure_time_s=seconds), reach_deg=1.75, seed=5) for n in range(count)]


def places(count=300, seed=1):
    return np.random.default_rng(seed).uniform(-1.2, 1.2, (2, count))


@pytest.mark.parametrize(("seconds", "expected"), [(30.0, 15.0), (120.0, 7.5)])
def test_the_size_is_as_told_and_falls_with_the_root_of_the_exposure_time(seconds, expected):
    values = np.array([field.at(*places()) for field in fields(seconds=seconds)])
    assert 1e3 * np.sqrt(np.mean(values**2)) == pytest.approx(expected, rel=0.08)


def test_there_is_no_circulation():
    t = np.linspace(0.0, 1.0, 801)[:-1] + 0.5 / 800
    x = 0.3 * np.concatenate([t, np.ones(800), 1.0 - t, np.zeros(800)])
    y = 0.3 * np.concatenate([np.zeros(800), t, np.ones(800), 1.0 - t])
    for field in fields(5):
        u, v = field.at(x, y)
        sides = [u[:800].mean(), v[800:1600].mean(), -u[1600:2400].mean(), -v[2400:].mean()]
        assert abs(sum(sides)) < 0.03 * np.abs(sides).sum()


def test_neighbours_move_together_and_far_stars_do_not():
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-0.4, 0.4, (2, 400))
    angle = rng.uniform(0.0, 2.0 * np.pi, 400)
    drawn = fields(80, scale_deg=0.6)

    def correlation(distance):
        a = np.array([f.at(x, y) for f in drawn])
        b = np.array([f.at(x + distance * np.cos(angle), y + distance * np.sin(angle)) for f in drawn])
        return float(np.mean(a * b) / np.mean(a * a))

    near, middle, far = correlation(0.02), correlation(0.2), correlation(1.2)
    assert near > 0.9
    assert 0.1 < middle < near
    assert abs(far) < 0.25
