"""Fit PSFs to fields of stars and galaxies and compare the models with the true PSF at random places.

Usage: python benchmarks/psf.py SCORES.jsonl RESULT.json [--fields N] [--first SEED] [--seconds S] [--piff PYTHON]
       [--piff-every N] [--psfex-every N]

The true PSF is GalSim's Kolmogorov profile with a Moffat profile of beta 2.5 for its wings, whose width and distortion
vary over the field by a few percent; in every fifth block of fields its width falls by 1% per magnitude of colour.
Stars have counts of a survey, 80 galaxies lie among 260 of them on 1024 px. PSFEx (``psfex`` and ``source-extractor``)
and Piff (in a Python of its own) fit the same pixels in the same run. A line per field is added to SCORES.jsonl until N
are there or S seconds are over; then RESULT.json is written from all of them.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import galsim
import numpy as np
from machine import machine_facts, rounded
from psf_peers import Peer, piff_model, psfex_model
from scipy.spatial import cKDTree

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.psf import PixelBasisPsf
from etendue.kernels.moments import adaptive_moments
from etendue.qa.rho_statistics import rho_statistics
from etendue.tasks.detect.detect import DetectConfig, DetectResult, DetectTask
from etendue.tasks.psf.psf import FitPsfTask

SIDE, SKY, STARS, GALAXIES, PLACES = 1024, 800.0, 260, 80, 125
ARCMIN_PER_PX = 0.2 / 60.0
FWHMS = (1.2, 1.7, 2.2, 3.5, 5.0)  # [px], before the pixel
MEAN_COLOR, COLOR_SPREAD, WIDTH_PER_COLOR = 0.8, 0.5, -0.01
CHROMATIC_EVERY = 5


class Optics:
    """A PSF that varies over the field."""

    def __init__(self, rng: np.random.Generator, fwhm: float, width_per_color: float):
        self.width_per_color = width_per_color
        self.fwhm, self.width, self.shape = fwhm, rng.normal(0.0, 0.02, 4), rng.normal(0.0, 0.02, 6)

    def at(self, x: float, y: float, color: float = MEAN_COLOR) -> Any:
        """Return the profile at a pixel, without the pixel's response, of a star of a colour."""
        u, v, a, e = 2.0 * x / SIDE - 1.0, 2.0 * y / SIDE - 1.0, self.width, self.shape
        fwhm = self.fwhm * (1.0 + a[0] * u + a[1] * v + a[2] * u * v + a[3] * (u * u + v * v))
        fwhm *= 1.0 + self.width_per_color * (color - MEAN_COLOR)
        profile = 0.95 * galsim.Kolmogorov(fwhm=fwhm) + 0.05 * galsim.Moffat(beta=2.5, fwhm=2.2 * fwhm)
        return profile.shear(g1=e[0] + e[1] * u + e[2] * v * v, g2=e[3] + e[4] * v + e[5] * u * v)


def field(rng: np.random.Generator, optics: Optics) -> tuple[Exposure, np.ndarray]:
    """Return an image of stars and galaxies on a sky that was subtracted, and x, y and colours of its stars."""
    light, stars = np.zeros((SIDE, SIDE), np.float32), []
    for k in range(STARS + GALAXIES):
        x, y = rng.uniform(5, SIDE - 5, 2)
        if k < STARS:
            stars.append((x, y, rng.normal(MEAN_COLOR, COLOR_SPREAD)))
            flux, profile = min(4e3 * rng.random() ** -0.9, 8e5), optics.at(*stars[-1])
        else:
            flux = 10 ** rng.uniform(3.5, 5.0)
            galaxy = galsim.Sersic(n=rng.choice([1.0, 4.0]), half_light_radius=rng.uniform(1, 4))
            shear = np.clip(rng.normal(0.0, 0.2, 2), -0.4, 0.4)
            profile = galsim.Convolve(galaxy.shear(g1=shear[0], g2=shear[1]), optics.at(x, y))
        _add(light, profile * flux, x, y, 64 if flux > 5e4 else 32)
    image, box = rng.poisson(light + SKY) - SKY, Box.from_shape((SIDE, SIDE))
    variance = Image(np.maximum(image + SKY, 0.5 * SKY).astype(np.float32), box)
    exposure = Exposure(
        image=Image(image.astype(np.float32), box), mask=Mask.empty(box), variance=variance, unit="electron"
    )
    return exposure, np.array(stars).T


def _add(light: np.ndarray, profile: Any, x: float, y: float, half: int) -> None:
    col, row = round(x), round(y)
    stamp = profile.drawImage(galsim.ImageF(2 * half, 2 * half), scale=1.0, offset=(x - col + 0.5, y - row + 0.5)).array
    rows, cols = slice(max(0, row - half), min(SIDE, row + half)), slice(max(0, col - half), min(SIDE, col + half))
    light[rows, cols] += stamp[rows.start - row + half : rows.stop - row + half,
                               cols.start - col + half : cols.stop - col + half]  # fmt: skip


def moments(stamps: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Return adaptive moments ixx, iyy, ixy of stamps."""
    half = stamps.shape[1] // 2
    bad = np.zeros(stamps.shape, bool)
    return np.stack(adaptive_moments(np.ascontiguousarray(stamps, float), bad, half + dx, half + dy, 1.5, 300)[:3])


class Places:
    """Random places and colours, and the true PSF there."""

    def __init__(self, rng: np.random.Generator, optics: Optics, size: int):
        self.x, self.y = rng.uniform(30, SIDE - 30, (2, PLACES))
        self.color = rng.normal(MEAN_COLOR, COLOR_SPREAD, PLACES)
        self.dx, self.dy = self.x - np.rint(self.x), self.y - np.rint(self.y)
        self.inside = np.hypot(*(np.indices((size, size)) - size // 2)) <= 12.0
        self.true = np.stack([
            optics.at(x, y, c).drawImage(galsim.ImageD(size, size), scale=1.0, offset=(dx, dy)).array
            for x, y, c, dx, dy in zip(self.x, self.y, self.color, self.dx, self.dy, strict=True)
        ])  # fmt: skip
        self.moments = moments(self.true, self.dx, self.dy)

    def errors(self, model: np.ndarray) -> dict[str, Any]:
        """Compare stamps of a model, which may be smaller; errors in thousandths."""
        cut = (self.true.shape[1] - model.shape[1]) // 2
        true = self.true[:, cut : self.true.shape[1] - cut, cut : self.true.shape[2] - cut]
        ours, truth = moments(model, self.dx, self.dy), self.moments
        size, true_size = ours[0] + ours[1], truth[0] + truth[1]
        near = slice(max(0, model.shape[1] // 2 - 12), model.shape[1] // 2 + 13)
        model, true = model[:, near, near], true[:, near, near]
        scale = (model * true).sum(axis=(1, 2)) / (model**2).sum(axis=(1, 2))  # shapes are compared, not sums
        misfit = ((scale[:, None, None] * model - true) ** 2).sum() / (true**2).sum()
        return {
            "size_error": list(1e3 * (size / true_size - 1.0)),
            "e1_error": list(1e3 * ((ours[0] - ours[1]) / size - (truth[0] - truth[1]) / true_size)),
            "e2_error": list(2e3 * (ours[2] / size - truth[2] / true_size)),
            "residual": float(1e3 * np.sqrt(misfit)),
        }  # fmt: skip

    def columns(self, model: np.ndarray) -> dict[str, list[float]]:
        """Return the columns of rho statistics, with the true PSF for the stars."""
        names = ("ixx", "iyy", "ixy", "ixxPSF", "iyyPSF", "ixyPSF")
        values = (*self.moments, *moments(model, self.dx, self.dy))
        places = {"x_arcmin": list(self.x * ARCMIN_PER_PX), "y_arcmin": list(self.y * ARCMIN_PER_PX)}
        return places | {name: list(one) for name, one in zip(names, values, strict=True)}


def score(seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Fit one field by all that are asked for, and compare."""
    fwhm, block = FWHMS[seed % len(FWHMS)], seed // len(FWHMS)
    chromatic = block % CHROMATIC_EVERY == 0
    rng = np.random.default_rng([seed, 2211])
    optics = Optics(rng, fwhm, WIDTH_PER_COLOR if chromatic else 0.0)
    exposure, stars = field(rng, optics)
    found = DetectTask(DetectConfig(threshold_snr=10.0)).run(exposure=exposure)
    begin = time.process_time()
    fit = FitPsfTask().run(exposure=exposure, x=found.x, y=found.y, snr=found.peak_snr)
    seconds = time.process_time() - begin
    places = Places(rng, optics, max(fit.psf.size, 51))
    model = fit.psf.draw(x=places.x, y=places.y, size=places.true.shape[1]).value
    beyond = 1e3 * (places.true[:, places.inside].sum(axis=1) - model[:, places.inside].sum(axis=1)).mean()
    used = fit.used & ~fit.reserved
    result = {
        "seed": seed, "fwhm_px": fwhm, "chromatic": chromatic, "stars": fit.statistics["n_used"],
        "color": list(places.color), "columns": places.columns(model),
        "true_light_beyond_12_px": float(1e3 * (1.0 - places.true[:, places.inside].sum(axis=1)).mean()),
        "light_beyond_12_px_error": float(beyond),
        "etendue": places.errors(model) | {"cpu_s": seconds},
    }  # fmt: skip
    if chromatic:
        colored = _with_colors(exposure, found, stars)
        drawn = colored.draw(x=places.x, y=places.y, size=places.true.shape[1], color=places.color).value
        result["with colour"] = places.errors(drawn)
    for name, every, fitted in (("PSFEx", options.psfex_every, psfex_model), ("Piff", options.piff_every, piff_model)):
        if every and block % every == 1 % every:
            peer: Peer = fitted(exposure, found.x[used], found.y[used], places.x, places.y, fwhm, options.piff)
            result[name] = places.errors(peer.model) | {"cpu_s": peer.cpu_s, "select_cpu_s": peer.select_cpu_s}
    return result


def _with_colors(exposure: Exposure, found: DetectResult, stars: np.ndarray) -> PixelBasisPsf:
    """Fit the PSF with the colours of the stars, as a catalog would give them."""
    distance, nearest = cKDTree(stars[:2].T).query(np.stack([found.x, found.y], axis=1))
    color = np.where(distance < 1.0, stars[2][nearest], np.nan)
    return FitPsfTask().run(exposure=exposure, x=found.x, y=found.y, snr=found.peak_snr, color=color).psf


def pooled(fields: list[dict[str, Any]], fitter: str) -> dict[str, Any]:
    """Return means over fields with their standard errors, of one fitter."""
    having = [one[fitter] for one in fields if fitter in one]
    result: dict[str, Any] = {"fields": len(having)}
    for name in ("size_error", "e1_error", "e2_error"):
        means = np.array([np.mean(one[name]) for one in having])
        result[name] = {
            "mean": float(means.mean()), "standard_error": float(means.std(ddof=1) / np.sqrt(len(having))),
            "rms": float(np.sqrt(np.mean([np.mean(np.square(one[name])) for one in having]))),
        }  # fmt: skip
    result["residual"] = float(np.median([one["residual"] for one in having]))
    if "cpu_s" in having[0]:
        result["cpu_s"] = float(np.median([one["cpu_s"] for one in having]))
    return result


def by_color(fields: list[dict[str, Any]], fitter: str) -> dict[str, list[float]]:
    """Return mean size errors and their standard errors of blue, middling and red places."""
    color = np.concatenate([one["color"] for one in fields])
    error = np.concatenate([one[fitter]["size_error"] for one in fields])
    bins = np.digitize(color, [0.5, 1.1])
    chosen = [error[bins == k] for k in range(3)]
    return {name: [float(one.mean()), float(one.std() / np.sqrt(one.size))]
            for name, one in zip(("below 0.5", "0.5 to 1.1", "above 1.1"), chosen, strict=True)}  # fmt: skip


def summary(fields: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of ours on all fields, and of every peer and ours on the fields that it fitted."""
    result: dict[str, Any] = {"etendue": pooled(fields, "etendue")}
    for name in ("PSFEx", "Piff"):
        shared = [one for one in fields if name in one]
        if len(shared) > 1:
            result[f"as {name}"] = {peer: pooled(shared, peer) for peer in (name, "etendue")}
    for name in ("light_beyond_12_px_error", "true_light_beyond_12_px", "stars"):
        values = np.array([one[name] for one in fields])
        spread = float(values.std(ddof=1) / np.sqrt(values.size))
        result[name] = {"mean": float(values.mean()), "standard_error": spread}
    columns = [{name: np.array(values) for name, values in one["columns"].items()} for one in fields]
    rho = rho_statistics(columns, (0.1, 1.0, 3.0))
    result["rho1"], result["rho1_err"] = rho.rho[0].tolist(), rho.err[0].tolist()
    return result


def main() -> None:
    """Score fields until they are done or the time is over, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scores", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--fields", type=int, default=200)
    parser.add_argument("--first", type=int, default=22000)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--piff", default="")
    parser.add_argument("--piff-every", type=int, default=0)
    parser.add_argument("--psfex-every", type=int, default=1)
    options = parser.parse_args()
    begin = time.monotonic()
    lines = options.scores.read_text().splitlines() if options.scores.exists() else []
    for seed in range(options.first + len(lines), options.first + options.fields):
        if time.monotonic() - begin > options.seconds:
            break
        with options.scores.open("a") as out:
            out.write(json.dumps(rounded(score(seed, options), 7)) + "\n")
    fields = [json.loads(line) for line in options.scores.read_text().splitlines()]
    seeds = [fields[0]["seed"], fields[-1]["seed"]]
    gray = [one for one in fields if not one["chromatic"]]
    seeds = [fields[0]["seed"], fields[-1]["seed"]]
    result = {"machine": machine_facts(), "seeds": seeds, "unit": "thousandths", "all": summary(gray), "by_fwhm": {}}
    if colored := [one for one in fields if one["chromatic"]]:
        result["chromatic"] = {
            name: pooled(colored, name) | {"size_error_by_color": by_color(colored, name)}
            for name in ("etendue", "with colour")
        }
    for fwhm in FWHMS:
        alike = [one for one in gray if one["fwhm_px"] == fwhm]
        if len(alike) > 1:
            result["by_fwhm"][str(fwhm)] = summary(alike)
    options.result.write_text(json.dumps(rounded(result), indent=1))
    print(len(fields), "fields:", json.dumps(rounded(result["all"])))


if __name__ == "__main__":
    main()
