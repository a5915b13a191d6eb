"""Fit PSFs to fields of stars and galaxies and compare the models with the true PSF at random places.

Usage: python benchmarks/psf.py RESULT.json [SEED ...]

The true PSF is GalSim's Kolmogorov profile with a Moffat profile of beta 2.5 for its wings, whose width and distortion
vary over the field by a few percent; stars have counts of a survey, 300 galaxies lie among them.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import galsim
import numpy as np
from machine import machine_facts, rounded

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.kernels.moments import adaptive_moments
from etendue.qa.rho_statistics import rho_statistics
from etendue.tasks.detect.detect import DetectConfig, DetectTask
from etendue.tasks.psf.psf import FitPsfTask

SIDE, SKY, STARS, GALAXIES, PLACES = 2048, 800.0, 700, 300, 150
ARCMIN_PER_PX = 0.2 / 60.0


class Optics:
    """A PSF that varies over the field."""

    def __init__(self, rng: np.random.Generator, fwhm: float):
        self.fwhm, self.width, self.shape = fwhm, rng.normal(0.0, 0.02, 4), rng.normal(0.0, 0.02, 6)

    def at(self, x: float, y: float) -> Any:
        """Return the profile at a pixel, without the pixel's response."""
        u, v, a, e = 2.0 * x / SIDE - 1.0, 2.0 * y / SIDE - 1.0, self.width, self.shape
        fwhm = self.fwhm * (1.0 + a[0] * u + a[1] * v + a[2] * u * v + a[3] * (u * u + v * v))
        profile = 0.95 * galsim.Kolmogorov(fwhm=fwhm) + 0.05 * galsim.Moffat(beta=2.5, fwhm=2.2 * fwhm)
        return profile.shear(g1=e[0] + e[1] * u + e[2] * v * v, g2=e[3] + e[4] * v + e[5] * u * v)


def field(rng: np.random.Generator, optics: Optics) -> Exposure:
    """Return an image of stars and galaxies on a sky that was subtracted."""
    light = np.zeros((SIDE, SIDE), np.float32)
    for k in range(STARS + GALAXIES):
        x, y = rng.uniform(5, SIDE - 5, 2)
        if k < STARS:
            flux, profile = min(4e3 * rng.random() ** -0.9, 8e5), optics.at(x, y)
        else:
            flux = 10 ** rng.uniform(3.5, 5.0)
            galaxy = galsim.Sersic(n=rng.choice([1.0, 4.0]), half_light_radius=rng.uniform(1, 4))
            shear = np.clip(rng.normal(0.0, 0.2, 2), -0.4, 0.4)
            profile = galsim.Convolve(galaxy.shear(g1=shear[0], g2=shear[1]), optics.at(x, y))
        _add(light, profile * flux, x, y, 64 if flux > 5e4 else 32)
    image, box = rng.poisson(light + SKY) - SKY, Box.from_shape((SIDE, SIDE))
    variance = Image(np.maximum(image + SKY, 0.5 * SKY).astype(np.float32), box)
    return Exposure(
        image=Image(image.astype(np.float32), box), mask=Mask.empty(box), variance=variance, unit="electron"
    )


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


def score(seed: int, fwhm: float) -> dict[str, Any]:
    """Fit one field and compare; errors in thousandths."""
    rng = np.random.default_rng([seed, round(10 * fwhm)])
    optics = Optics(rng, fwhm)
    exposure = field(rng, optics)
    found = DetectTask(DetectConfig(threshold_snr=10.0)).run(exposure=exposure)
    begin = time.process_time()
    fit = FitPsfTask().run(exposure=exposure, x=found.x, y=found.y, snr=found.peak_snr)
    seconds = time.process_time() - begin
    x, y = rng.uniform(30, SIDE - 30, (2, PLACES))
    dx, dy = x - np.rint(x), y - np.rint(y)
    model = fit.psf.draw(x=x, y=y).value
    true = np.stack([
        optics.at(*place).drawImage(galsim.ImageD(fit.psf.size, fit.psf.size), scale=1.0, offset=offset).array
        for place, offset in zip(zip(x, y, strict=True), zip(dx, dy, strict=True), strict=True)
    ])  # fmt: skip
    ours, truth = moments(model, dx, dy), moments(true, dx, dy)
    inside = np.hypot(*(np.indices(model.shape[1:]) - fit.psf.size // 2)) <= 12.0
    size, true_size = ours[0] + ours[1], truth[0] + truth[1]
    columns = {"x_arcmin": x * ARCMIN_PER_PX, "y_arcmin": y * ARCMIN_PER_PX}
    columns |= dict(zip(("ixx", "iyy", "ixy", "ixxPSF", "iyyPSF", "ixyPSF"), (*truth, *ours), strict=True))
    beyond = 1e3 * (true[:, inside].sum(axis=1) - model[:, inside].sum(axis=1)).mean()
    return {
        "seed": seed, "fwhm_px": fwhm, "cpu_s": seconds, "stars": fit.statistics["n_used"], "columns": columns,
        "size_error": list(1e3 * (size / true_size - 1.0)),
        "e1_error": list(1e3 * ((ours[0] - ours[1]) / size - (truth[0] - truth[1]) / true_size)),
        "e2_error": list(2e3 * (ours[2] / size - truth[2] / true_size)),
        "light_beyond_12_px_error": float(beyond),
        "residual": float(1e3 * np.sqrt(((model - true) ** 2).sum() / (true**2).sum())),
    }  # fmt: skip


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over fields with their standard errors, and rho statistics of errors of the model alone."""
    result: dict[str, Any] = {"fields": len(found)}
    for name in ("size_error", "e1_error", "e2_error"):
        means = np.array([np.mean(one[name]) for one in found])
        result[name] = {
            "mean": float(means.mean()), "standard_error": float(means.std(ddof=1) / np.sqrt(len(found))),
            "rms": float(np.sqrt(np.mean([np.mean(np.square(one[name])) for one in found]))),
        }  # fmt: skip
    for name in ("light_beyond_12_px_error", "residual", "cpu_s", "stars"):
        values = np.array([one[name] for one in found])
        result[name] = {"mean": float(values.mean()), "lowest": float(values.min()), "highest": float(values.max())}
    rho = rho_statistics([one["columns"] for one in found], (0.1, 1.0, 3.0, 7.0))
    result["rho1"], result["rho1_err"] = rho.rho[0].tolist(), rho.err[0].tolist()
    return result


def main() -> None:
    """Score all seeds at three seeings."""
    seeds = [int(text) for text in sys.argv[2:]] or list(range(701, 706))
    result: dict[str, Any] = {"machine": machine_facts(), "seeds": seeds, "unit": "thousandths", "by_fwhm": {}}
    for fwhm in (2.2, 3.5, 5.0):
        result["by_fwhm"][str(fwhm)] = summary([score(seed, fwhm) for seed in seeds])
        print(fwhm, json.dumps(result["by_fwhm"][str(fwhm)]), flush=True)
    Path(sys.argv[1]).write_text(json.dumps(rounded(result), indent=1))


if __name__ == "__main__":
    main()
