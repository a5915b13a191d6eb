"""Displacements have the size, the correlation and the lack of curl of the atmosphere's."""

import numpy as np
import pytest

from etendue.errors import InputError
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


def test_a_measured_two_point_function_comes_back(tmp_path):
    separation = np.linspace(0.0, 1.5, 31)
    expected = 600.0 * np.exp(-((separation / 0.35) ** 1.2)) * (1.0 - separation / 1.5)
    path = tmp_path / "measured.csv"
    rows = [f"{s},{c}" for s, c in zip(separation, expected, strict=True)]
    path.write_text("\n".join(["separation_deg,correlation_mas2", *rows]))
    drawn = fields(200, two_point=path, anisotropy=0.0)
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-0.6, 0.6, (2, 400))
    angle = rng.uniform(0.0, 2.0 * np.pi, 400)
    here = 1e3 * np.array([f.at(x, y) for f in drawn])
    for distance in (0.0, 0.1, 0.3, 0.8):
        there = 1e3 * np.array([f.at(x + distance * np.cos(angle), y + distance * np.sin(angle)) for f in drawn])
        found = np.mean(np.sum(here * there, axis=1))
        assert found == pytest.approx(np.interp(distance, separation, expected), abs=0.08 * expected[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("separation_deg,correlation_mas2\n0.1,300\n0.2,100\n", "column separation_deg, row 0: is not 0"),
        ("separation_deg,correlation_mas2\n0,300\n0.2,100\n0.1,50\n", "column separation_deg, row 2: does not rise"),
        ("separation_deg,correlation_mas2\n0,0\n0.2,0\n", "column correlation_mas2, row 0: is no variance"),
        ("separation,correlation_mas2\n0,0\n", "no column separation_deg"),
    ],
)
def test_a_bad_two_point_function_is_refused(tmp_path, text, message):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        fields(1, two_point=tmp_path / "bad.csv")
