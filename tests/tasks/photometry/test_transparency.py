"""Clouds are told from light lost and from unevenness, and clear nights are not called cloudy."""

import numpy as np
import pytest

from etendue.tasks.photometry.transparency import TransparencyConfig, TransparencyTask

NIGHT = TransparencyConfig(nominal_zero_point=26.0, airmass_term=0.15)
NO_STARS = {"x": [], "y": [], "residual_mag": [], "residual_err_mag": []}


def stars(seed, n, *, structure=0.0, scatter=0.01):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0.0, 4000.0, (2, n))
    wave = structure * np.sqrt(2.0) * np.sin(2.0 * np.pi * x / 3500.0 + rng.uniform(0.0, 6.0))
    residual = wave + scatter * rng.standard_normal(n)
    residual[: n // 50] += 0.5
    return {"x": x, "y": y, "residual_mag": residual, "residual_err_mag": np.full(n, 0.5 * scatter)}


def judged(zero_point, columns, config=NIGHT, airmass=1.4):
    return TransparencyTask(config).run(zero_point_mag=zero_point, exposure_time_s=30.0, airmass=airmass, **columns)


def test_extinction_is_what_the_clear_air_does_not_explain():
    clear = 26.0 - 0.15 * 1.4 + 2.5 * np.log10(30.0)
    assert judged(clear, NO_STARS).extinction_mag == pytest.approx(0.0, abs=1e-12)
    assert not judged(clear - 0.2, NO_STARS).cloudy
    cloudy = judged(clear - 0.5, NO_STARS)
    assert cloudy.extinction_mag == pytest.approx(0.5)
    assert cloudy.cloudy
    assert np.isnan(cloudy.structure_mag)


def test_without_a_nominal_zero_point_only_structure_tells():
    unknown = judged(20.0, stars(1, 400), TransparencyConfig())
    assert np.isnan(unknown.extinction_mag)
    assert not unknown.cloudy
    assert judged(20.0, stars(1, 400, structure=0.08), TransparencyConfig()).cloudy


def test_structure_is_measured_free_of_noise():
    found = [judged(29.4, stars(seed, 2000, structure=0.05, scatter=0.03)).structure_mag for seed in range(20)]
    assert np.mean(found) == pytest.approx(0.05, rel=0.2)  # cells average part of it away
    flat = [judged(29.4, stars(seed, 300, scatter=0.05)) for seed in range(200)]
    assert not any(one.cloudy for one in flat)
    assert np.mean([one.structure_mag for one in flat]) < 0.012


def test_few_stars_say_nothing_about_structure():
    assert np.isnan(judged(29.4, stars(1, 15)).structure_mag)
