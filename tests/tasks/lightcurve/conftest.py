"""A small simulated series: drift, gradients, an unflattened detector, a sinusoid and a transit."""

from dataclasses import dataclass

import numpy as np
import pytest

from etendue.tasks.lightcurve.series import N_APERTURES, Series

N_FRAMES, N_STARS = 60, 120
SINE, TRANSIT = 5, 9
DEPTH, MIDDLE, DURATION = 0.025, 0.14, 0.11
NOISE = 0.004


@dataclass(frozen=True)
class Truth:
    series: Series
    signal: np.ndarray
    response: np.ndarray


def make(seed: int = 3, *, signals: bool = True) -> Truth:
    rng = np.random.default_rng(seed)
    time = np.linspace(0.0, 0.28, N_FRAMES)
    x = rng.uniform(0.0, 650.0, N_STARS) - 150.0 * (time / 0.28)[:, None] + 75.0
    y = rng.uniform(0.0, 500.0, N_STARS) + 0.0 * time[:, None]
    inside = (x > 0.0) & (x < 649.0)
    inside[:, [SINE, TRANSIT]] = True
    x[:, [SINE, TRANSIT]] = np.array([300.0, 350.0]) - 150.0 * (time / 0.28)[:, None] + 75.0
    signal = np.zeros(x.shape)
    if signals:
        signal[:, SINE] = 0.03 * np.sin(2.0 * np.pi * time / 0.07)
        signal[:, TRANSIT] = DEPTH * np.clip((0.5 * DURATION - np.abs(time - MIDDLE)) / 0.012, 0.0, 1.0)
    response = 0.02 * np.sin(x / 90.0) * np.cos(y / 120.0)  # no sum of terms in x and y: gradients cannot absorb it
    airmass = 1.0 + 8.0 * (time - 0.1) ** 2
    frame = (
        0.3 * airmass[:, None]
        + 0.02 * rng.standard_normal(N_FRAMES)[:, None]
        + 0.02 * (time / 0.28)[:, None] * y / 500.0
    )
    mag = rng.uniform(-10.0, -7.0, N_STARS)
    noise = NOISE * 10.0 ** (0.2 * (mag + 9.0))
    noisy = mag + signal + response + frame + noise * rng.standard_normal(x.shape)
    flux = 60.0 * 10.0 ** (-0.4 * noisy)
    error = np.broadcast_to(0.921 * noise, x.shape) * flux
    hidden = np.where(inside, 0.0, np.nan)
    shape = (N_APERTURES, *x.shape)
    series = Series(
        np.arange(1, N_STARS + 1), np.linspace(31.0, 31.5, N_STARS), np.full(N_STARS, 46.7), "clear", 0,
        np.arange(1, N_FRAMES + 1), 58107.0 + time, np.full(N_FRAMES, 60.0), airmass,
        2.2 + 0.1 * rng.standard_normal(N_FRAMES), np.arange(2.0, 10.0),
        np.broadcast_to(flux + hidden, shape).copy(), np.broadcast_to(error + hidden, shape).copy(), x + hidden,
        y + hidden, 1e4 + hidden, inside, np.zeros(x.shape, bool), np.zeros(N_STARS),
    )  # fmt: skip
    return Truth(series, signal, response)


@pytest.fixture(scope="session")
def truth() -> Truth:
    return make()


@pytest.fixture(scope="session")
def constant() -> Truth:
    return make(8, signals=False)
