"""Score blends against truth: galaxies with neighbours, and crowded fields with the Cramer-Rao bound of the joint fit.

PSF, galaxies and noise are drawn by GalSim, not by etendue. The bound is that of a fit of fluxes and places of all
stars above S/N 5 at once, with the true PSF, by one who knows how many there are.

Usage: python benchmarks/blends.py [--only pairs crowded] [--seeds 9401 9402 ...] [--out benchmarks/results]
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import galsim
import numpy as np
from machine import HERE, machine_facts, rounded
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

SEEDS = (9401, 9402, 9403, 9404, 9405)  # fresh: never looked at while settings were chosen
FWHM, BETA, SKY = 3.3, 3.5, 300.0  # px; e-/px
SIDE = 512
PAIR_SIDE, PAIR_SPACING, PAIR_SKY = 1024, 64, 400.0
CROWDED = {"one_per_100_px": 0.01, "three_per_100_px": 0.03, "47_tuc": None}
BOUND_SNR, BRIGHT_SNR = 5.0, 10.0
REACH = 1.2  # px; farther away nothing is the same star
Real = NDArray[np.float64]


@dataclass(frozen=True)
class Stars:
    """Truth of a field [px, e-]."""

    x: Real
    y: Real
    flux: Real


class TruePsf:
    """The pixel-integrated PSF, tabulated by GalSim on a grid of fifths of pixels and read by cubic interpolation."""

    over = 5

    def __init__(self, fwhm: float = FWHM, size: int = 61):
        from scipy.ndimage import spline_filter

        n = self.over * size
        profile = galsim.Convolve(galsim.Moffat(beta=BETA, fwhm=fwhm), galsim.Pixel(1.0))
        image = profile.drawImage(nx=n, ny=n, scale=1.0 / self.over, method="no_pixel", dtype=float).array
        self.samples = image * self.over**2
        self.middle, self.spline = (n - 1) / 2.0, spline_filter(self.samples)

    def stamp(self, x: float, y: float, half: int) -> tuple[int, int, Real]:
        """Return first column and row, and the light of a star of unit flux."""
        from scipy.ndimage import map_coordinates

        x0, y0 = round(x) - half, round(y) - half
        rows = self.middle + (np.arange(y0, y0 + 2 * half + 1) - y) * self.over
        cols = self.middle + (np.arange(x0, x0 + 2 * half + 1) - x) * self.over
        grid = np.meshgrid(rows, cols, indexing="ij")
        return x0, y0, map_coordinates(self.spline, grid, order=3, prefilter=False, mode="nearest")

    def model(self, size: int = 51) -> Any:
        """Return it as etendue's PSF."""
        from etendue.image.psf import PixelBasisPsf

        return PixelBasisPsf.from_samples(
            self.samples[None], step=1.0 / self.over, x=[0.0], y=[0.0], order=0, size=size
        )


def add(image: Real, x0: int, y0: int, stamp: Real) -> None:
    """Add what of a stamp lies on the image."""
    ny, nx = stamp.shape
    a, b, c, d = max(y0, 0), min(y0 + ny, image.shape[0]), max(x0, 0), min(x0 + nx, image.shape[1])
    if a < b and c < d:
        image[a:b, c:d] += stamp[a - y0 : b - y0, c - x0 : d - x0]


def draw_field(rng: np.random.Generator, density: float | None, side: int) -> Stars:
    """Draw stars of one density, or of a cluster: a core of 70 px, giants, a turn-off and a main sequence below it."""
    if density is not None:
        n = round(density * side**2)
        return Stars(*rng.uniform(0, side, (2, n)), np.minimum(300.0 * rng.random(n) ** -0.9, 3e5))
    n = round(0.02 * side**2)
    radius = 70.0 * np.sqrt((1.0 + (side / 140.0) ** 2) ** rng.random(n) - 1.0)  # of surface density 1 / (r^2 + a^2)
    angle = rng.uniform(0.0, 2.0 * np.pi, n)
    x, y = side / 2 + radius * np.cos(angle), side / 2 + radius * np.sin(angle)
    below = rng.random(n) < 0.93
    mag = np.where(below, 17.2 + 4.0 * rng.random(n) ** 0.6, 13.0 + 4.2 * rng.random(n) ** 0.5)
    return Stars(x, y, 3e5 * 10 ** (-0.4 * (mag - 13.0)))


def render(psf: TruePsf, stars: Stars, side: int) -> Real:
    """Return the light of the stars."""
    image = np.zeros((side, side))
    for x, y, flux in zip(stars.x, stars.y, stars.flux, strict=True):
        x0, y0, stamp = psf.stamp(x, y, 30 if flux > 2000.0 else 12)
        add(image, x0, y0, flux * stamp)
    return image


def bound(psf: TruePsf, stars: Stars, light: Real, half: int = 10) -> Real:
    """Return the error that flux of each star has at best, if all fluxes and places are fitted [e-]."""
    side, n, step = light.shape[0], stars.x.size, 0.05
    columns: list[Any] = []
    weight = 1.0 / np.sqrt(light + SKY)
    for k in range(n):
        x, y, flux = stars.x[k], stars.y[k], stars.flux[k]
        x0, y0, here = psf.stamp(x, y, half)
        dx = (_at(psf, x + step, y, x0, y0, half) - _at(psf, x - step, y, x0, y0, half)) / (2 * step)
        dy = (_at(psf, x, y + step, x0, y0, half) - _at(psf, x, y - step, x0, y0, half)) / (2 * step)
        rows, cols = np.mgrid[y0 : y0 + 2 * half + 1, x0 : x0 + 2 * half + 1]
        on = (rows >= 0) & (cols >= 0) & (rows < side) & (cols < side)
        pixel, w = (rows * side + cols)[on], weight[rows[on], cols[on]]
        for p, values in enumerate((here, flux * dx, flux * dy)):
            columns.append((pixel, np.full(pixel.size, 3 * k + p), values[on] * w))
    pixel, parameter, value = (np.concatenate(part) for part in zip(*columns, strict=True))
    design = sparse.csc_matrix((value, (pixel, parameter)), shape=(side * side, 3 * n))
    fisher = (design.T @ design).tocsc()
    scale = 1.0 / np.sqrt(fisher.diagonal())
    scaled = sparse.diags(scale) @ fisher @ sparse.diags(scale) + 1e-9 * sparse.eye(3 * n)
    solver, result = splu(scaled.tocsc()), np.empty(n)
    for first in range(0, n, 200):
        some = np.arange(first, min(first + 200, n))
        unit = np.zeros((3 * n, some.size))
        unit[3 * some, np.arange(some.size)] = 1.0
        result[some] = np.sqrt(solver.solve(unit)[3 * some, np.arange(some.size)]) * scale[3 * some]
    return result


def _at(psf: TruePsf, x: float, y: float, x0: int, y0: int, half: int) -> Real:
    """Return the light of a star on the pixels of a given stamp."""
    from scipy.ndimage import map_coordinates

    rows = psf.middle + (np.arange(y0, y0 + 2 * half + 1) - y) * psf.over
    cols = psf.middle + (np.arange(x0, x0 + 2 * half + 1) - x) * psf.over
    grid = np.meshgrid(rows, cols, indexing="ij")
    return np.asarray(map_coordinates(psf.spline, grid, order=3, prefilter=False, mode="nearest"))


def exposure_of(data: Real, variance: Real, psf: Any) -> Any:
    from etendue.geom.box import Box
    from etendue.image.exposure import Exposure
    from etendue.image.image import Image
    from etendue.image.mask import Mask

    box = Box.from_shape(data.shape)
    return Exposure(
        image=Image(data.astype(np.float32), box), mask=Mask.empty(box),
        variance=Image(variance.astype(np.float32), box), psf=psf, unit="electron",
    )  # fmt: skip


def matched(x: Real, y: Real, stars: Stars) -> NDArray[np.int64]:
    """Return the source of each star, the brightest star first, -1 for none; no source twice."""
    tree, used, own = cKDTree(np.column_stack([x, y])), np.zeros(x.size, bool), np.full(stars.x.size, -1)
    for star in np.argsort(-stars.flux):
        place = stars.x[star], stars.y[star]
        near = [k for k in tree.query_ball_point(place, REACH) if not used[k]]
        if near:
            own[star] = min(near, key=lambda k: np.hypot(x[k] - place[0], y[k] - place[1]))
            used[own[star]] = True
    return own


def crowded_sides(exposure: Any) -> dict[str, Any]:
    """Return what is measured with and without the search of residuals, and the CPU seconds.

    Two sides know PSF and sky; the third finds both.
    """
    from etendue.tasks.characterize.characterize import CharacterizeConfig, CharacterizeTask
    from etendue.tasks.characterize.crowded import FindCrowdedTask
    from etendue.tasks.detect.detect import DetectTask
    from etendue.tasks.measure.measure import MeasureTask

    first = DetectTask().run(exposure=exposure)
    begin = time.process_time()
    found = FindCrowdedTask().run(exposure=first.exposure, detected=first)
    seconds = time.process_time() - begin
    task, begin = MeasureTask(), time.process_time()
    raw = exposure_of(exposure.image.array + SKY, exposure.variance.array, None)
    config = CharacterizeConfig(find_crowded=True, find_cosmic_rays=False, find_streaks=False)
    whole, both = CharacterizeTask(config).run(exposure=raw).columns, time.process_time() - begin
    return {
        "psf_and_sky_found": (whole, both),
        "detected": (task.run(exposure=first.exposure, x=first.x, y=first.y), 0.0),
        "crowded": (task.run(exposure=found.exposure, x=found.x, y=found.y), seconds),
    }


def crowded_field(seed: int, density: float | None, psf: TruePsf) -> dict[str, list[Any]]:
    """Return the columns of one field, by side."""
    rng = np.random.default_rng([seed, 0 if density is None else round(1000 * density)])
    stars = draw_field(rng, density, SIDE)
    light = render(psf, stars, SIDE)
    data = rng.poisson(light + SKY) - SKY
    area = 1.0 / float((psf.stamp(0.0, 0.0, 12)[2] ** 2).sum())
    snr = stars.flux / np.sqrt(stars.flux + SKY * area)
    real = snr > BOUND_SNR
    error = np.full(stars.x.size, np.nan)
    error[real] = bound(psf, Stars(stars.x[real], stars.y[real], stars.flux[real]), light)
    rows: dict[str, list[Any]] = {}
    for name, (columns, seconds) in crowded_sides(exposure_of(data, light + SKY, psf.model())).items():
        own = matched(columns.x, columns.y, stars)
        inside = (np.minimum(stars.x, stars.y) > 8.0) & (np.maximum(stars.x, stars.y) < SIDE - 9.0)
        flux = np.where(own >= 0, columns.psf_flux[own], np.nan)
        flux_err = np.where(own >= 0, columns.psf_flux_err[own], np.nan)
        false = 1.0 - np.unique(own[own >= 0]).size / columns.x.size
        rows[name] = [snr[inside], stars.flux[inside], error[inside], flux[inside], flux_err[inside], false, seconds]
    return rows


def _width(values: Real) -> float:
    return float(0.7413 * np.subtract(*np.percentile(values, [75, 25]))) if values.size > 3 else float("nan")


def crowded_score(fields: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Pool fields: completeness, scatter over the bound, pulls."""
    snr, true, error, flux, flux_err = (np.concatenate([row[k] for row in fields]) for k in range(5))
    best = true / error  # S/N of the joint fit at best
    result: dict[str, Any] = {
        "unmatched_share": float(np.mean([row[5] for row in fields])),
        "cpu_s": float(np.mean([row[6] for row in fields])),
    }
    kinds = {"isolated_snr_above_10": snr > BRIGHT_SNR, "joint_snr_above_10": best > BRIGHT_SNR,
             "joint_snr_10_30": (best > 10.0) & (best < 30.0), "joint_snr_above_30": best > 30.0}  # fmt: skip
    for name, bright in kinds.items():
        got = bright & np.isfinite(flux)
        off = flux[got] - true[got]
        result[name] = {
            "stars": int(bright.sum()), "found": float(got.sum() / max(bright.sum(), 1)),
            "bias_over_bound": float(np.median(off / error[got])), "scatter_over_bound": _width(off / error[got]),
            "pull_mean": float(np.median(off / flux_err[got])), "pull_width": _width(off / flux_err[got]),
            "error_over_bound": float(np.median(flux_err[got] / error[got])),
        }  # fmt: skip
    return result


def crowded(seeds: Sequence[int]) -> dict[str, Any]:
    psf, result = TruePsf(), {}
    for name, density in CROWDED.items():
        fields = [crowded_field(seed, density, psf) for seed in seeds]
        result[name] = {side: crowded_score([field[side] for field in fields]) for side in fields[0]}
        print(name, json.dumps(rounded(result[name]), indent=1), flush=True)
    return result


def pairs(seeds: Sequence[int]) -> dict[str, Any]:
    """Score galaxies with a star or another galaxy beside them, on a grid."""
    psf = TruePsf(3.2)
    result: dict[str, Any] = {}
    for kind in ("star", "galaxy"):
        fields = [pair_field(seed, kind, psf) for seed in seeds]
        result[f"galaxy_and_{kind}"] = {side: pair_score([f[side] for f in fields]) for side in fields[0]}
        print(kind, json.dumps(rounded(result[f"galaxy_and_{kind}"]), indent=1), flush=True)
    return result


def _galaxy(rng: np.random.Generator, flux: float) -> tuple[Any, float, float]:
    """Return a Sersic galaxy behind the PSF, its half-light radius [px] and index."""
    radius, index = rng.uniform(1.5, 4.0), rng.choice([1.0, 1.0, 4.0])
    shear = np.clip(rng.normal(0.0, 0.2, 2), -0.5, 0.5)
    shape = galsim.Sersic(n=index, half_light_radius=radius, flux=flux).shear(g1=shear[0], g2=shear[1])
    return galsim.Convolve(shape, galsim.Moffat(beta=BETA, fwhm=3.2)), radius, index


def _draw(image: Real, profile: Any, x: float, y: float) -> None:
    x0, y0 = round(x), round(y)
    stamp = profile.drawImage(nx=97, ny=97, scale=1.0, offset=(x - x0, y - y0), dtype=float).array
    add(image, x0 - 48, y0 - 48, stamp)


def pair_field(seed: int, kind: str, psf: TruePsf) -> dict[str, dict[str, Real]]:
    """Return, by side, the neighbours' true and measured fluxes, with the light of each galaxy in 12 px."""
    from etendue.tasks.detect.detect import DetectTask
    from etendue.tasks.measure.measure import MeasureConfig, MeasureTask

    rng, image, truth = np.random.default_rng([seed, len(kind)]), np.zeros((PAIR_SIDE, PAIR_SIDE)), []
    for gx in range(PAIR_SPACING, PAIR_SIDE - 40, PAIR_SPACING):
        for gy in range(PAIR_SPACING, PAIR_SIDE - 40, PAIR_SPACING):
            x, y = gx + rng.uniform(-3, 3), gy + rng.uniform(-3, 3)
            flux, near = 10 ** rng.uniform(3.8, 5.0), 10 ** rng.uniform(3.5, 4.8)
            distance, angle = rng.uniform(5.0, 11.0), rng.uniform(0.0, 2.0 * np.pi)
            x1, y1 = x + distance * np.cos(angle), y + distance * np.sin(angle)
            _draw(image, _galaxy(rng, flux)[0], x, y)
            _draw(image, galsim.Moffat(beta=BETA, fwhm=3.2, flux=near) if kind == "star" else _galaxy(rng, near)[0],
                  x1, y1)  # fmt: skip
            truth.append((x, y, flux, x1, y1, near, distance))
    true = np.array(truth).T
    exposure = exposure_of(rng.poisson(image + PAIR_SKY) - PAIR_SKY, image + PAIR_SKY, psf.model(31))
    found = DetectTask().run(exposure=exposure)
    sides = {}
    for name, share in (("joint_point_sources", False), ("deblended", True)):
        measured = MeasureConfig(share_light=share, measurements=("apertures", "moments", "extendedness", "galaxies"))
        begin = time.process_time()
        columns = MeasureTask(measured).run(exposure=found.exposure, x=found.x, y=found.y, footprints=found.footprints)
        sides[name] = _pairs_of(columns, true) | {"cpu_s": np.array([time.process_time() - begin])}
    return sides


def _pairs_of(columns: Any, true: Real) -> dict[str, Real]:
    """Return truth and measurement of the pairs of which both were found."""
    tree = cKDTree(np.column_stack([columns.x, columns.y]))
    (d0, k0), (d1, k1) = (tree.query(true[[a, a + 1]].T) for a in (0, 3))
    both = (d0 < 1.5) & (d1 < 1.5) & (k0 != k1)
    values = {"psf": (columns.psf_flux, columns.psf_flux_err)}
    for name in ("cModel", "ap12"):
        if f"{name}Flux" in columns.measured:
            values[name] = columns.measured[f"{name}Flux"], columns.measured[f"{name}FluxErr"]
    out = {"both": both.astype(float), "first": true[2][both], "second": true[5][both], "off": d1[both]}
    for name, (flux, err) in values.items():
        out |= {f"{name}_first": flux[k0][both], f"{name}_first_err": err[k0][both],
                f"{name}_second": flux[k1][both], f"{name}_second_err": err[k1][both]}  # fmt: skip
    return out


def pair_score(fields: Sequence[dict[str, Real]]) -> dict[str, Any]:
    """Pool fields: share of pairs found as two, relative errors and pulls of both fluxes."""
    pooled = {name: np.concatenate([field[name] for field in fields]) for name in fields[0]}
    result: dict[str, Any] = {
        "pairs": int(pooled["both"].size), "found_as_two": float(pooled["both"].mean()),
        "place_median_px": float(np.median(pooled["off"])), "cpu_s": float(pooled["cpu_s"].mean()),
    }  # fmt: skip
    for name in ("psf", "cModel", "ap12"):
        for which in ("first", "second"):
            if (key := f"{name}_{which}") in pooled:
                good = np.isfinite(pooled[key]) & (pooled[f"{key}_err"] > 0.0)
                off = (pooled[key] - pooled[which])[good]
                relative, pull = off / pooled[which][good], off / pooled[f"{key}_err"][good]
                result[key] = {
                    "measured": float(good.mean()), "bias": float(np.median(relative)), "scatter": _width(relative),
                    "pull_mean": float(np.median(pull)), "pull_width": _width(pull),
                }  # fmt: skip
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=["pairs", "crowded"], default=["pairs", "crowded"])
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    args.out.mkdir(exist_ok=True)
    path = args.out / f"blends-{when}.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    record |= {"date": when, "machine": machine_facts()}
    for name in args.only:
        record[name] = {"seeds": list(args.seeds)} | {"pairs": pairs, "crowded": crowded}[name](args.seeds)
        path.write_text(json.dumps(rounded(record), indent=1) + "\n")


if __name__ == "__main__":
    main()
