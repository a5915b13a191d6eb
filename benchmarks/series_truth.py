"""Simulated series with known truth: constant stars, variables and transits behind the faults of a real night."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from etendue.errors import AlgorithmError
from etendue.tasks.lightcurve.light_curves import LightCurves, LightCurvesTask
from etendue.tasks.lightcurve.series import N_APERTURES, Series
from etendue.tasks.lightcurve.transit import TransitTask

N_FRAMES, N_STARS, SPAN_D = 80, 400, 0.3
N_TRANSITS, N_SINES = 8, 8
MIN_SNR = 5.0
DEPTHS = (0.010, 0.015, 0.020, 0.030)
WIDTH, HEIGHT = 650.0, 500.0


def simulate(seed: int) -> tuple[Series, dict[str, np.ndarray]]:
    """Return a series and its truth: true depth and middle of transits, amplitude and period of sinusoids (NaN: none).

    The field drifts by 200 px; every frame has a zero point and a gradient, the detector a response of several percent
    on scales of the frame that no flat has taken off, and stars scatter by photons, sky and 3 mmag of scintillation.
    Each star has red noise of its own, an Ornstein-Uhlenbeck process of about 2.5 mmag and 10 to 60 minutes: bright
    stars of hatp32 show 4 mmag.
    """
    rng = np.random.default_rng(seed)
    time = np.sort(np.linspace(0.0, SPAN_D, N_FRAMES) + rng.normal(0.0, 2e-4, N_FRAMES))
    airmass = 1.0 + 3.0 * (time / SPAN_D - 0.3) ** 2
    x0, y0 = rng.uniform(-100.0, WIDTH + 100.0, N_STARS), rng.uniform(-30.0, HEIGHT + 30.0, N_STARS)
    x = x0 - 200.0 * (time / SPAN_D - 0.5)[:, None] + rng.normal(0.0, 0.3, N_FRAMES)[:, None]
    y = y0 + 30.0 * np.sin(3.0 * time / SPAN_D)[:, None] + rng.normal(0.0, 0.3, N_FRAMES)[:, None]
    inside = (x > 0.0) & (x < WIDTH - 1.0) & (y > 0.0) & (y < HEIGHT - 1.0)
    mag = -4.5 - 5.5 * rng.power(0.45, N_STARS)
    truth = {name: np.full(N_STARS, np.nan) for name in ("depth", "middle", "duration", "amplitude", "period")}
    signal = _signals(rng, time, mag, inside, truth)
    response = _response(rng, x, y)
    zero = 0.2 * airmass + rng.normal(0.0, 0.03, N_FRAMES)
    gradient = rng.normal(0.0, 0.01, (2, N_FRAMES))
    frame = zero[:, None] + gradient[0][:, None] * (x / WIDTH - 0.5) + gradient[1][:, None] * (y / HEIGHT - 0.5)
    red = _red_noise(rng, time)
    electrons = 60.0 * 10.0 ** (-0.4 * (mag + signal + response + frame + red))
    fwhm = 2.2 + 0.3 * rng.standard_normal(N_FRAMES).clip(-1.0, 2.0)
    radii = np.linspace(2.0, 7.0, N_APERTURES)
    flux, err = _photometry(rng, electrons, radii, fwhm)
    hidden = np.where(inside, 0.0, np.nan)
    return Series(
        np.arange(1, N_STARS + 1), rng.uniform(30.5, 31.5, N_STARS), rng.uniform(46.5, 47.2, N_STARS), "clear", 0,
        np.arange(1, N_FRAMES + 1), 58107.0 + time, np.full(N_FRAMES, 60.0), airmass, fwhm, radii, flux + hidden,
        err + hidden, x + hidden, y + hidden, np.full(x.shape, 1.1e4) + hidden, inside, np.zeros(x.shape, bool),
        np.zeros(N_STARS),
    ), truth  # fmt: skip


def _signals(
    rng: np.random.Generator, time: np.ndarray, mag: np.ndarray, inside: np.ndarray, truth: dict[str, np.ndarray]
) -> np.ndarray:
    signal = np.zeros((N_FRAMES, N_STARS))
    order = np.argsort(mag)
    always = order[inside.all(axis=0)[order]]
    chosen = rng.permutation(always[: max(len(always) // 4, N_TRANSITS + N_SINES)])[: N_TRANSITS + N_SINES]
    for k, star in enumerate(chosen[:N_TRANSITS]):
        depth, duration = DEPTHS[k % len(DEPTHS)], rng.uniform(0.25, 0.45) * SPAN_D
        middle = rng.uniform(0.35, 0.65) * SPAN_D
        box = np.clip((0.5 * duration - np.abs(time - middle)) / (0.12 * duration), 0.0, 1.0)
        signal[:, star] = depth * box
        truth["depth"][star], truth["middle"][star], truth["duration"][star] = depth, middle, duration
    for star in chosen[N_TRANSITS:]:
        amplitude, period = rng.uniform(0.02, 0.06), rng.uniform(0.15, 0.6) * SPAN_D
        signal[:, star] = amplitude * np.sin(2.0 * np.pi * (time / period + rng.uniform()))
        truth["amplitude"][star], truth["period"][star] = amplitude, period
    return signal


def _red_noise(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Return an Ornstein-Uhlenbeck process for every star [mag]."""
    sigma = 0.0025 * np.exp(0.4 * rng.standard_normal(N_STARS))
    tau = np.exp(rng.uniform(np.log(10.0), np.log(60.0), N_STARS)) / 1440.0
    value = np.zeros((N_FRAMES, N_STARS))
    value[0] = sigma * rng.standard_normal(N_STARS)
    for k in range(1, N_FRAMES):
        memory = np.exp(-(time[k] - time[k - 1]) / tau)
        value[k] = memory * value[k - 1] + np.sqrt(1.0 - memory**2) * sigma * rng.standard_normal(N_STARS)
    return value


def _response(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    u, v = x / WIDTH - 0.5, y / HEIGHT - 0.5
    found = 0.06 * (u * u + v * v)
    for _ in range(6):
        kx, ky, phase = *rng.uniform(0.5, 1.5, 2), rng.uniform(0.0, 2.0 * np.pi)
        found = found + 0.004 * np.sin(2.0 * np.pi * (kx * u + ky * v) + phase)
    return found


def _photometry(
    rng: np.random.Generator, electrons: np.ndarray, radii: np.ndarray, fwhm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return aperture fluxes with noise that is common to the light inside nested apertures."""
    sigma = fwhm / 2.3548
    inside = 1.0 - np.exp(-0.5 * (radii[:, None] / sigma) ** 2)
    rings = np.diff(inside, axis=0, prepend=0.0)[:, :, None] * electrons
    sky = 1.1e4 * np.pi * np.diff(radii**2, prepend=0.0)[:, None, None]
    noisy = rings + rng.normal(0.0, 1.0, rings.shape) * np.sqrt(rings + sky)
    scintillation = 1.0 + 0.003 * rng.standard_normal(electrons.shape)
    return np.cumsum(noisy, axis=0) * scintillation, np.sqrt(np.cumsum(rings + sky, axis=0))


def score(seed: int) -> dict[str, Any]:
    """Return what was recovered of one seed."""
    series, truth = simulate(seed)
    curves = LightCurvesTask().run(series=series)
    constant = np.isnan(truth["depth"]) & np.isnan(truth["amplitude"])
    claimed = curves.variability.is_variable
    sines, transits = np.isfinite(truth["amplitude"]), np.isfinite(truth["depth"])
    pulls = curves.raw / curves.error
    judged = constant & (series.usable.mean(axis=0) > 0.5)
    return {
        "seed": seed,
        "constant_stars": int(judged.sum()),
        "false_claims": int((claimed & judged).sum()),
        "sinusoids": int(sines.sum()),
        "sinusoids_claimed": int((claimed & sines).sum()),
        "transits": [_transit(curves, truth, int(star)) for star in np.flatnonzero(transits)],
        "transits_claimed": int((claimed & transits).sum()),
        "kept_by_detrending": _kept(curves, truth),
        "noise_over_error_detrended": _robust((curves.detrended / curves.error)[:, judged]),
        "noise_over_error_raw": _robust(pulls[:, judged]),
    }


def _transit(curves: LightCurves, truth: dict[str, np.ndarray], star: int) -> dict[str, float]:
    series = curves.series
    try:
        fit = TransitTask().run(
            time_d=series.mjd_tai, mag=curves.raw[:, star], mag_err=curves.error[:, star], airmass=series.airmass
        )
    except AlgorithmError:
        return {"depth_mmag": 1e3 * truth["depth"][star], "found": 0.0, "claimed": False}
    depth, middle = truth["depth"][star], 58107.0 + truth["middle"][star]
    claimed = bool(curves.variability.is_variable[star])
    return {
        "depth_mmag": 1e3 * depth,
        "claimed": claimed,
        "found": float(abs(fit.mid_time - middle) < 0.25 * truth["duration"][star] and fit.snr > MIN_SNR),
        "snr": fit.snr,
        "depth_error_mmag": 1e3 * (fit.depth_mag - depth),
        "depth_pull": (fit.depth_mag - depth) / fit.depth_err_mag,
        "middle_error_min": 1440.0 * (fit.mid_time - middle),
        "middle_pull": (fit.mid_time - middle) / fit.mid_time_err,
        "log_odds": fit.log_odds,
        "red_noise_mmag": 1e3 * fit.red_noise_mag,
        "duration_pull": (fit.duration_d - truth["duration"][star]) / fit.duration_err_d,
    }


def _kept(curves: LightCurves, truth: dict[str, np.ndarray]) -> float:
    """Return which part of the transits' depth is left after detrending, the mean over stars."""
    time, parts = curves.series.mjd_tai - 58107.0, []
    for star in np.flatnonzero(np.isfinite(truth["depth"])):
        away = np.abs(time - truth["middle"][star])
        inside, outside = away < 0.38 * truth["duration"][star], away > 0.5 * truth["duration"][star]
        mag = curves.detrended[:, star]
        parts.append((np.nanmean(mag[inside]) - np.nanmean(mag[outside])) / truth["depth"][star])
    return float(np.mean(parts))


def _robust(pulls: np.ndarray) -> float:
    low, high = np.nanpercentile(pulls, [25.0, 75.0])
    return float((high - low) / 1.349)


def score_seeds(seeds: Sequence[int]) -> dict[str, Any]:
    """Score all seeds and put the figures together."""
    rows = [score(seed) for seed in seeds]
    fits = [fit for row in rows for fit in row["transits"] if "snr" in fit]
    total = {key: sum(row[key] for row in rows) for key in ("constant_stars", "false_claims", "sinusoids",
             "sinusoids_claimed", "transits_claimed")}  # fmt: skip
    summary = total | {
        "transits": sum(len(row["transits"]) for row in rows),
        "transits_found": int(sum(fit["found"] for fit in fits)),
        "found_in_the_wrong_place": int(sum(fit["snr"] > MIN_SNR and not fit["found"] for fit in fits)),
        "by_depth": {f"{1e3 * depth:.0f} mmag": _by_depth(rows, 1e3 * depth) for depth in DEPTHS},
        "pulls_of_all": _pulls(fits),
        "pulls_at_snr_5": _pulls([fit for fit in fits if fit["snr"] > MIN_SNR]),
        "kept_by_detrending": float(np.mean([row["kept_by_detrending"] for row in rows])),
        "noise_over_error_detrended": float(np.mean([row["noise_over_error_detrended"] for row in rows])),
    }
    return {"seeds": list(seeds), "summary": summary, "by_seed": rows}


def _by_depth(rows: list[dict[str, Any]], depth_mmag: float) -> dict[str, int]:
    mine = [fit for row in rows for fit in row["transits"] if abs(fit["depth_mmag"] - depth_mmag) < 0.1]
    return {
        "all": len(mine),
        "found": int(sum(fit["found"] for fit in mine)),
        "claimed": sum(f["claimed"] for f in mine),
    }


def _pulls(fits: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean, robust width, rms and tails of the pulls of middle, depth and duration."""
    found: dict[str, Any] = {"n": len(fits)}
    for name in ("middle", "depth", "duration"):
        pulls = np.array([fit[f"{name}_pull"] for fit in fits])
        found[name] = {
            "mean": float(pulls.mean()), "standard_error": float(pulls.std() / np.sqrt(pulls.size)),
            "robust_width": _robust(pulls), "rms": float(np.sqrt(np.mean(pulls**2))),
            "beyond_3": float(np.mean(np.abs(pulls) > 3.0)), "beyond_4": float(np.mean(np.abs(pulls) > 4.0)),
        }  # fmt: skip
    return found
