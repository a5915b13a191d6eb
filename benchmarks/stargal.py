"""Score the separation of stars and galaxies on images against the best possible classifier.

Isolated stars and galaxies on a grid; the best classifier knows the true PSF, the noise, and the population of galaxies
(it averages the likelihood of the pixels over 3,000 galaxies of that population), and only not flux and place.

Usage: python benchmarks/stargal.py [--seeds 9501 9502 ...] [--out benchmarks/results]
"""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import survey_frame
from machine import HERE, machine_facts, rounded
from numpy.typing import NDArray

SEEDS = (9501, 9502, 9503, 9504, 9505)  # fresh: never looked at while settings were chosen
SIDE, SPACING, HALF = 2048, 40, 14
BINS = ((10.0, 20.0), (20.0, 30.0), (30.0, 50.0))
MAGS = (20.4, 23.4)  # S/N of 87 to 5.5 for stars
FWHMS = (3.5, 3.15)  # px of 0.2 arcsec; the second is a tenth better
TEMPLATES = 3000
Real = NDArray[np.float64]


def population(rng: np.random.Generator, mag: Real) -> dict[str, Real]:
    """Draw galaxies of given magnitudes as `survey_frame` does."""
    n, shape = mag.size, rng.normal(0.0, 0.22, (2, mag.size))
    shape /= np.maximum(1.0, np.hypot(*shape) / 0.6)
    radius = 0.75 * 10 ** (-0.09 * (mag - 20.0)) * rng.lognormal(0.0, 0.3, n) / survey_frame.PIXEL_ARCSEC
    bulge = np.where(rng.uniform(size=n) < 0.25, 1.0, rng.uniform(0.0, 0.4, n))
    return {"radius": radius, "bulge": bulge, "e1": shape[0], "e2": shape[1]}


def star_share(mag: Real) -> Real:
    """Return the part of the sources that are stars."""
    return np.asarray(0.7 - 0.4 * (mag - MAGS[0]) / (MAGS[1] - MAGS[0]))


def electrons(mag: Real) -> Real:
    """Return light of magnitudes; the zero point is that of the first seeing."""
    return np.asarray(_ZERO * 10 ** (-0.4 * (mag - survey_frame.FAINTEST_MAG)))


survey_frame.FWHM = FWHMS[0]
_ZERO = survey_frame.FAINTEST_SNR * float(np.sqrt(survey_frame.SKY / np.sum(survey_frame.true_psf() ** 2)))


def scene(seed: int) -> tuple[NDArray[np.float32], dict[str, Real]]:
    """Return an image without sky and its truth: sources stand on pixel centres, which the classifiers do not know."""
    rng = np.random.default_rng([seed, 77])
    grid = np.arange(SPACING, SIDE - SPACING + 1, SPACING, dtype=float)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    mag = rng.uniform(*MAGS, x.size)
    star = rng.random(x.size) < star_share(mag)
    flux, light = electrons(mag), np.zeros((SIDE, SIDE))
    galaxies = population(rng, mag)
    survey_frame.draw_points(light, x[star], y[star], flux[star], floor=0.005)
    all_of = {"x": x, "y": y, "flux": flux, **galaxies}
    survey_frame._draw_galaxies(light, {name: value[~star] for name, value in all_of.items()}, floor=0.005)
    image = rng.poisson(light + survey_frame.SKY) - survey_frame.SKY
    return image.astype(np.float32), {"x": x, "y": y, "mag": mag, "star": star, "light": light}


def templates(rng: np.random.Generator, mag: float) -> Real:
    """Return stamps of unit flux of galaxies of a magnitude, shape (TEMPLATES, n_pixels)."""
    side = 2 * HALF + 1
    across = int(np.ceil(np.sqrt(TEMPLATES)))
    row, col = np.divmod(np.arange(TEMPLATES), across)
    canvas = np.zeros((across * side, across * side))
    galaxies = population(rng, np.full(TEMPLATES, mag))
    places = {"x": col * side + HALF + 0.0, "y": row * side + HALF + 0.0, "flux": np.full(TEMPLATES, 1e4)}
    for k in range(TEMPLATES):  # one by one: light beyond a stamp must not fall on the next
        stamp = np.zeros((side, side))
        one = {name: value[k : k + 1] for name, value in (galaxies | places).items()}
        one |= {"x": np.array([float(HALF)]), "y": np.array([float(HALF)])}
        survey_frame._draw_galaxies(stamp, one, floor=1e-4)
        canvas[row[k] * side : (row[k] + 1) * side, col[k] * side : (col[k] + 1) * side] = stamp
    cut = canvas.reshape(across, side, across, side).swapaxes(1, 2).reshape(-1, side, side)[:TEMPLATES]
    return np.asarray(cut / 1e4)


def evidence(stamps: Real, models: Real) -> Real:
    """Return the logarithm of the likelihood of each stamp under each model, over all fluxes and places.

    Flux and place (to first order) are integrated out with flat priors in flux and place; noise is that of the sky.
    """
    gradient_y, gradient_x = np.gradient(models, axis=(1, 2))
    basis = np.stack([models, gradient_x, gradient_y], axis=1).reshape(len(models), 3, -1)
    fisher = np.einsum("map,mbp->mab", basis, basis) / survey_frame.SKY
    inverse, log_det = np.linalg.inv(fisher), np.linalg.slogdet(fisher)[1]
    flat = stamps.reshape(len(stamps), -1)
    result = np.empty((len(stamps), len(models)))
    for k in range(0, len(models), 500):
        part = basis[k : k + 500]
        slope = (flat @ part.reshape(-1, part.shape[2]).T).reshape(len(flat), -1, 3) / survey_frame.SKY
        solved = np.einsum("mab,smb->sma", inverse[k : k + 500], slope)
        gain = np.einsum("sma,sma->sm", solved, slope)
        flux = np.maximum(solved[:, :, 0], 1.0)
        # The amplitudes of the gradients are flux times shift: dx dy = d(a b) / flux^2.
        result[:, k : k + 500] = 0.5 * gain - 0.5 * log_det[k : k + 500] - 2.0 * np.log(flux)
    return result


def best_possible(image: NDArray[np.float32], truth: dict[str, Real], seed: int) -> Real:
    """Return the probability of being a star of one who knows the population."""
    rng, side = np.random.default_rng([seed, 78]), 2 * HALF + 1
    columns, rows = truth["x"].astype(int), truth["y"].astype(int)
    window = np.arange(-HALF, HALF + 1)
    stamps = image[rows[:, None, None] + window[:, None], columns[:, None, None] + window].astype(float)
    psf = survey_frame.true_psf(side)[np.newaxis]
    of_star = evidence(stamps, psf)[:, 0]
    of_galaxy = np.zeros(len(stamps))
    edges = np.linspace(*MAGS, 7)
    for low, high in pairwise(edges):  # sizes depend on the magnitude
        here = (truth["mag"] >= low) & (truth["mag"] < high)
        logs = evidence(stamps[here], templates(rng, 0.5 * (low + high)))
        top = logs.max(axis=1, keepdims=True)
        of_galaxy[here] = top[:, 0] + np.log(np.exp(logs - top).mean(axis=1))
    odds = np.log(star_share(truth["mag"]) / (1.0 - star_share(truth["mag"])))
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(of_star - of_galaxy + odds, -500, 500))))


def ours(image: NDArray[np.float32], truth: dict[str, Real]) -> tuple[Real, Real, Real]:
    """Return the probability, the broad fraction in its errors, and the S/N that etendue measures."""
    from scipy.spatial import cKDTree

    from etendue.geom.box import Box
    from etendue.image.exposure import Exposure
    from etendue.image.image import Image
    from etendue.image.mask import Mask
    from etendue.image.psf import GaussianMixturePsf
    from etendue.tasks.detect.detect import DetectConfig, DetectTask
    from etendue.tasks.measure.measure import MeasureConfig, MeasureTask
    from etendue.tasks.stargal.star_probability import StarProbabilityTask

    amplitude, (xx, yy, xy) = survey_frame.mixture()
    psf, box = GaussianMixturePsf(list(amplitude), list(xx), list(yy), list(xy), 41), Box.from_shape(image.shape)
    variance = (truth["light"] + survey_frame.SKY).astype(np.float32)
    exposure = Exposure(
        image=Image(image, box), mask=Mask.empty(box), variance=Image(variance, box), psf=psf, unit="electron"
    )
    found = DetectTask(DetectConfig()).run(exposure=exposure)
    measure = MeasureTask(MeasureConfig(measurements=("moments", "extendedness")))
    columns = measure.run(exposure=found.exposure, x=found.x, y=found.y, footprints=found.footprints)
    broad, err = columns.measured["broadFraction"], columns.measured["broadFractionErr"]
    told = StarProbabilityTask().run(broad=broad, broad_err=err, flux=columns.psf_flux).probability
    tree = cKDTree(np.column_stack([columns.x, columns.y]))
    distance, own = tree.query(np.column_stack([truth["x"], truth["y"]]))
    near = distance < 2.0
    return tuple(np.where(near, value[own], np.nan) for value in (told, -broad, columns.snr))  # type: ignore[return-value]


def area_under_curve(score: Real, star: NDArray[np.bool_]) -> float:
    """Return the chance that a star ranks above a galaxy."""
    from scipy.stats import rankdata

    ranks = rankdata(score)
    n, m = np.count_nonzero(star), np.count_nonzero(~star)
    return float((ranks[star].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def reliability(probability: Real, star: NDArray[np.bool_]) -> dict[str, Any]:
    """Compare probabilities with shares of stars in ten bins."""
    k = np.clip((10 * probability).astype(int), 0, 9)
    n = np.bincount(k, minlength=10)
    told, true = (np.bincount(k, values, minlength=10) / np.maximum(n, 1) for values in (probability, star))
    return {"told": told.tolist(), "true": true.tolist(), "n": n.tolist(),
            "mean_error": float(np.sum(n * np.abs(told - true)) / n.sum())}  # fmt: skip


def score(seeds: Sequence[int], fwhm: float) -> dict[str, Any]:
    """Pool fields of one seeing."""
    survey_frame.FWHM = fwhm
    parts: list[tuple[Real, ...]] = []
    for seed in seeds:
        image, truth = scene(seed)
        told, shape, snr = ours(image, truth)
        parts.append((truth["star"], truth["mag"], told, shape, snr, best_possible(image, truth, seed)))
    star, mag, told, shape, snr, best = (np.concatenate(column) for column in zip(*parts, strict=True))
    star, good = star.astype(bool), np.isfinite(told)
    result: dict[str, Any] = {"sources": int(star.size), "measured": float(good.mean())}
    for low, high in BINS:
        here = good & (snr >= low) & (snr < high)
        values = {name: area_under_curve(one[here], star[here])
                  for name, one in (("probability", told), ("shape", shape), ("best", best))}  # fmt: skip
        result[f"snr_{low:.0f}_{high:.0f}"] = {
            "stars": int(np.count_nonzero(star & here)), "galaxies": int(np.count_nonzero(~star & here)), "auc": values,
            "reliability": reliability(told[here], star[here]), "best_reliability": reliability(best[here], star[here]),
        }  # fmt: skip
    every = good & (snr >= BINS[0][0]) & (snr < BINS[-1][1])
    result["all"] = {"reliability": reliability(told[every], star[every])}
    steps = np.arange(MAGS[0] + 0.8, MAGS[1], 0.2)
    inside = [good & (np.abs(mag - step) < 0.2) for step in steps]
    curves = {"probability": told, "best": best}
    areas = {name: [area_under_curve(one[k], star[k]) for k in inside] for name, one in curves.items()}
    result["curve"] = {"mag": steps.tolist(), **areas}
    return result


def worth_of_seeing(worse: dict[str, Any], better: dict[str, Any]) -> dict[str, float]:
    """Return by how many magnitudes deeper stars are told from galaxies as well."""
    mag, shift = np.array(worse["mag"]), {}
    for name in ("probability", "best"):
        lost = [1.0 - np.maximum.accumulate(np.array(side[name])[::-1])[::-1] for side in (worse, better)]
        level = np.log(np.maximum(lost, 1e-4))
        both = np.linspace(max(level[0][0], level[1][0]) + 0.1, min(level[0][-1], level[1][-1]), 9)
        depths = [np.interp(both, np.maximum.accumulate(one), mag) for one in level]
        shift[name] = float(np.median(depths[1] - depths[0]))
    return shift


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    sides = {f"fwhm_{fwhm}": score(args.seeds, fwhm) for fwhm in FWHMS}
    shift = worth_of_seeing(*(side["curve"] for side in sides.values()))
    record = {
        "date": when,
        "seeds": list(args.seeds),
        "machine": machine_facts(),
        **sides,
        "seeing_10_percent_mag": shift,
    }
    args.out.mkdir(exist_ok=True)
    text = json.dumps(rounded(record), indent=1)
    (args.out / f"stargal-{when}.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
