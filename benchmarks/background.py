"""Score the sky against the sky that was put in: star and galaxy fields, large galaxies, the halo of a bright star.

Usage: python benchmarks/background.py [--only fields galaxies visit halo] [--seeds 8101 ...] [--out benchmarks/results]
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
from scipy import special

SEEDS = (8101, 8102, 8103, 8104, 8105)  # fresh: never looked at while settings were chosen
DENSITIES = {"sparse": (150, 2.5), "ordinary": (1200, 2.5), "crowded": (5000, 2.5), "deep": (4000, 0.5)}
SKY, PIXEL_ARCSEC = survey_frame.SKY, survey_frame.PIXEL_ARCSEC
SKY_MAG = 21.0  # of a square arcsecond; says what a magnitude is in electrons
NOISE = float(np.sqrt(SKY))
RADII_ARCSEC = (20.0, 40.0, 60.0)
FAINT_MAG = 29.0  # per square arcsecond, of the ring that must not be negative
GALAXY_MAG = {20.0: 14.5, 40.0: 13.5, 60.0: 12.5}
Real = NDArray[np.float64]


def electrons(mag: float) -> float:
    """Return the light of a magnitude [e-]."""
    return float(SKY / PIXEL_ARCSEC**2 * 10 ** (0.4 * (SKY_MAG - mag)))


def exposure_of(image: NDArray[np.float32]) -> Any:
    from frame_sides import _our_exposure

    return _our_exposure(image)


def fitted(image: NDArray[np.float32], settings: dict[str, Any], rounds: int) -> tuple[Real, Any]:
    """Subtract the sky as pipelines do: then detect, and once more without what was detected; return its sum."""
    from etendue.tasks.background.background import SubtractBackgroundConfig, SubtractBackgroundTask
    from etendue.tasks.detect.detect import DetectTask

    task = SubtractBackgroundTask(SubtractBackgroundConfig(**settings))
    exposure = task.run(exposure=exposure_of(image)).exposure
    for _ in range(rounds - 1):
        exposure = task.run(exposure=DetectTask().run(exposure=exposure).exposure).exposure
    return exposure.background.image().array.astype(float), exposure


def fields(seeds: Sequence[int], size: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Measure mean and scatter of fitted minus true sky in units of the pixel noise."""
    result: dict[str, Any] = {}
    for name, (density, faintest) in DENSITIES.items():
        survey_frame.SOURCES_PER_MEGAPIXEL, survey_frame.FAINTEST_SNR = density, faintest
        survey_frame.FAINTEST_MAG = 24.25 + 2.5 * np.log10(2.5 / faintest)
        rows: dict[str, list[list[float]]] = {"once": [], "twice": []}
        for seed in seeds:
            frame = survey_frame.render(size, seed=seed)
            for label, rounds in (("once", 1), ("twice", 2)):
                off = (fitted(frame.image, settings, rounds)[0] - frame.sky) / NOISE
                rows[label].append([float(off.mean()), float(off.std()), float(np.sqrt(np.mean(off**2)))])
        result[name] = {"sources_per_megapixel": density, "faintest_snr": faintest} | {
            label: {"mean": np.mean(values, axis=0)[0], "mean_err": np.std(values, axis=0)[0] / len(seeds) ** 0.5,
                    "scatter": np.mean(values, axis=0)[1], "rms": np.mean(values, axis=0)[2]}
            for label, values in rows.items()
        }  # fmt: skip
    survey_frame.SOURCES_PER_MEGAPIXEL, survey_frame.FAINTEST_SNR, survey_frame.FAINTEST_MAG = 1200, 2.5, 24.25
    return result


def sersic(radius_px: Real, effective_px: float, index: float, flux: float) -> Real:
    """Return a Sersic profile [e-/px]; b from Ciotti & Bertin (1999, A&A 352, 447), equation 18."""
    b = 2.0 * index - 1.0 / 3.0 + 4.0 / (405.0 * index) + 46.0 / (25515.0 * index**2)
    total = 2.0 * np.pi * index * np.exp(b) * b ** (-2.0 * index) * special.gamma(2.0 * index) * effective_px**2
    return np.asarray(flux / total * np.exp(-b * ((radius_px / effective_px) ** (1.0 / index) - 1.0)))


def galaxies(seeds: Sequence[int], size: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Measure the light that the sky takes from large galaxies, and the deepest ring around them."""
    result: dict[str, Any] = {}
    limit = electrons(FAINT_MAG) * PIXEL_ARCSEC**2
    y, x = np.indices((size, size), dtype=np.float64)
    for index in (1.0, 4.0):
        for radius in RADII_ARCSEC:
            taken, ring = [], []
            for seed in seeds:
                rng = np.random.default_rng([seed, 3])
                frame = survey_frame.render(size, seed=seed)
                place = size * rng.uniform(0.35, 0.65, 2)
                axis, angle = rng.uniform(0.6, 1.0), rng.uniform(0.0, np.pi)
                dx, dy = x - place[0], y - place[1]
                u, v = np.cos(angle) * dx + np.sin(angle) * dy, -np.sin(angle) * dx + np.cos(angle) * dy
                distance = np.hypot(u * np.sqrt(axis), v / np.sqrt(axis))
                flux = electrons(GALAXY_MAG[radius])
                light = sersic(np.maximum(distance, 0.5), radius / PIXEL_ARCSEC, index, flux)
                image = (frame.image + rng.poisson(light)).astype(np.float32)
                sky, _ = fitted(image, settings, 2)
                off = sky - frame.sky
                inside = light > limit
                taken.append(float(-off[inside].sum() / light[inside].sum()))
                bins = (distance / 40.0).astype(np.int64).ravel()
                profile = np.bincount(bins, (light - off).ravel()) / np.bincount(bins)
                ring.append(float(profile[np.bincount(bins) > 1000].min() / limit))
            result[f"n={index:g} r_e={radius:g} arcsec"] = {
                "mag": GALAXY_MAG[radius], "flux_bias": float(np.mean(taken)), "worst_flux_bias": max(taken, key=abs),
                "deepest_ring_over_29_mag": min(ring),
            }  # fmt: skip
    return result


def visit(seeds: Sequence[int], size: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Measure the light that the sky of a visit of three by three detectors takes from large galaxies."""

    side, result = size // 2, {}
    for index in (1.0, 4.0):
        for radius in RADII_ARCSEC:
            rows = [_visit_of(seed, side, settings, (index, radius)) for seed in seeds]
            result[f"n={index:g} r_e={radius:g} arcsec"] = {"mag": GALAXY_MAG[radius]} | {
                name: {"flux_bias": float(np.mean(bias)), "worst_flux_bias": max(bias, key=abs),
                       "deepest_ring_over_29_mag": min(ring)}
                for name, bias, ring in ((name, *zip(*(row[name] for row in rows), strict=True)) for name in rows[0])
            }  # fmt: skip
            print(index, radius, json.dumps(rounded(result[f"n={index:g} r_e={radius:g} arcsec"])), flush=True)
    return result


def _visit_of(
    seed: int, side: int, settings: dict[str, Any], galaxy: tuple[float, float]
) -> dict[str, tuple[float, float]]:
    """Return share of the galaxy that each sky takes, and the deepest ring over the faintest brightness."""
    from etendue.tasks.background.background import SubtractBackgroundConfig
    from etendue.tasks.background.visit_sky import VisitSkyConfig, VisitSkyTask

    tasks = {f"visit, order {k}": VisitSkyTask(VisitSkyConfig(order=k, cells=SubtractBackgroundConfig(**settings)))
             for k in (1, 3)}  # fmt: skip
    rng, cells, parts = np.random.default_rng([seed, 4]), [], []
    place, axis = side * rng.uniform(1.35, 1.65, 2), rng.uniform(0.6, 1.0)
    for k in range(9):
        image, light, true, distance = _detector(k, side, seed, place, axis, galaxy)
        own, exposure = fitted(image, settings, 2)
        cells.append(next(iter(tasks.values())).cells(_with_sky(exposure, own, k, side)))
        parts.append((light, true, distance, own))
    limit = electrons(FAINT_MAG) * PIXEL_ARCSEC**2
    skies = {"detector by detector": [part[3] for part in parts]}
    skies |= {name: [sky.image().array for sky in task.fit(cells).backgrounds] for name, task in tasks.items()}
    scores = {}
    for name, sky in skies.items():
        off = [one - part[1] for one, part in zip(sky, parts, strict=True)]
        bright = [part[0] > limit for part in parts]
        total = sum(float(part[0][use].sum()) for part, use in zip(parts, bright, strict=True))
        taken = -sum(float(one[use].sum()) for one, use in zip(off, bright, strict=True)) / total
        scores[name] = taken, _deepest_ring(parts, off) / limit
    return scores


def _detector(
    k: int, side: int, seed: int, place: Real, axis: float, galaxy: tuple[float, float]
) -> tuple[NDArray[np.float32], Real, Real, Real]:
    """Return pixels, the galaxy's light, the sky and the distance from the galaxy on one of nine detectors."""
    frame, rng = survey_frame.render(side, seed=100 * seed + k), np.random.default_rng([seed, 5, k])
    y, x = np.indices((side, side), dtype=np.float64) + np.array([side * (k // 3), side * (k % 3)])[:, None, None]
    distance = np.hypot((x - place[0]) * np.sqrt(axis), (y - place[1]) / np.sqrt(axis))
    index, radius = galaxy
    flux = electrons(GALAXY_MAG[radius])
    light = sersic(np.maximum(distance, 0.5), radius / PIXEL_ARCSEC, index, flux)
    sky = SKY * (1.0 + 0.03 * (x / (3 * side) - 0.5) - 0.02 * (y / (3 * side) - 0.5) ** 2)
    return (frame.image - frame.sky + sky + rng.poisson(light)).astype(np.float32), light, sky, distance


def _with_sky(exposure: Any, own: Real, k: int, side: int) -> Any:
    """Return an exposure with its sky in it and a place in the field."""
    from etendue.geom.sky_wcs import SkyWcs
    from etendue.image.image import Image

    scale = PIXEL_ARCSEC / 3600.0
    wcs = SkyWcs.tan(
        crpix_x=side * (1.5 - k % 3), crpix_y=side * (1.5 - k // 3), crval_ra_deg=30.0, crval_dec_deg=10.0,
        cd=np.diag([-scale, scale]),
    )  # fmt: skip
    pixels = (exposure.image.array + own).astype(np.float32)
    return exposure.replace(image=Image(pixels, exposure.bbox), wcs=wcs, background=None)


def _deepest_ring(parts: Sequence[tuple[Real, ...]], off: Sequence[Real]) -> float:
    """Return the lowest mean brightness of light minus error of the sky in rings of 40 px [e-/px]."""
    bins = np.concatenate([(part[2] / 40.0).astype(np.int64).ravel() for part in parts])
    left = np.concatenate([(part[0] - one).ravel() for part, one in zip(parts, off, strict=True)])
    n = np.bincount(bins)
    return float((np.bincount(bins, left) / np.maximum(n, 1))[n > 1000].min())


_HALO_RADII = (5.0, 8.0, 12.0, 20.0, 35.0, 60.0)  # arcsec, edges of bins
_AUREOLE_MAG = 24.0  # per square arcsecond, 60 arcsec from a star of 8 mag, falling as r^-2 (King 1971, PASP 83, 199)


def halo(seeds: Sequence[int], size: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Measure PSF fluxes of stars in the halo of a star of 8 mag against the same stars without it."""
    sides = {"as it is": False, "modelled": True}
    return {name: _halo_score(seeds, settings, subtract) for name, subtract in sides.items()}


def _halo_score(seeds: Sequence[int], settings: dict[str, Any], subtract: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    rows: list[tuple[float, float, float, float]] = []
    for seed in seeds:
        for turn in range(4):
            rows += _halo_field(np.random.default_rng([seed, 6, turn]), 1024, settings, subtract)
    radius, ratio, error, clear = np.array(rows).T
    for low, high in pairwise(_HALO_RADII):
        here = (radius >= low) & (radius < high)
        good = here & np.isfinite(ratio)
        off = -2.5e3 * np.log10(np.maximum(ratio[good], 1e-3))
        result[f"{low:g} to {high:g} arcsec"] = {
            "stars": int(here.sum()), "measured": float(good.sum() / here.sum()), "bias_mmag": float(np.median(off)),
            "bias_err_mmag": float(1.25 * np.std(off) / np.sqrt(max(good.sum(), 1))) if good.any() else float("nan"),
            "without_it_mmag": float(np.median(-2.5e3 * np.log10(clear[good]))) if good.any() else float("nan"),
            "pull_mean": float(np.median((ratio[good] - 1.0) / error[good])) if good.any() else float("nan"),
        }  # fmt: skip
    return result


def _halo_field(
    rng: np.random.Generator, side: int, settings: dict[str, Any], subtract: bool
) -> list[tuple[float, float, float, float]]:
    """Return distance [arcsec], flux over truth, its error, and the same without the bright star, of each star."""
    from scipy.spatial import cKDTree

    radius, angle = np.zeros(0), np.zeros(0)
    while radius.size < 24:  # apart by 3 arcsec
        r, a = 5.0 * 12.0 ** rng.random(), rng.uniform(0.0, 2.0 * np.pi)
        if (np.abs(r * np.exp(1j * a) - radius * np.exp(1j * angle)) > 3.0).all():
            radius, angle = np.append(radius, r), np.append(angle, a)
    x, y = (side / 2 + radius / PIXEL_ARCSEC * part for part in (np.cos(angle), np.sin(angle)))
    flux, light = np.full(x.size, 1e5), np.zeros((side, side))
    survey_frame.draw_points(light, x, y, flux, floor=0.01)
    few = rng.uniform(0.0, side, (2, 150))
    far = np.hypot(few[0] - side / 2, few[1] - side / 2) > 360.0
    survey_frame.draw_points(light, few[0][far], few[1][far], np.minimum(3e3 / rng.random(far.sum()), 1e5), floor=0.01)
    row, col = np.indices((side, side)) - side / 2
    aureole = electrons(_AUREOLE_MAG) * PIXEL_ARCSEC**2 * (300.0 / np.maximum(np.hypot(row, col), 5.0)) ** 2
    star = np.zeros((side, side))
    survey_frame.draw_points(star, *(np.full(1, side / 2.0) for _ in range(2)), np.full(1, electrons(8.0)), floor=0.01)
    out = []
    for extra in (aureole + star, 0.0 * star):
        image = np.minimum(rng.poisson(light + extra + SKY), 1e5).astype(np.float32)
        columns = _measured(image, settings, subtract)
        distance, own = cKDTree(np.column_stack([columns.x, columns.y])).query(np.column_stack([x, y]))
        bad = (distance > 1.5) | columns.psf_flux_flag[own]
        out.append(np.where(bad, np.nan, [columns.psf_flux[own] / flux, columns.psf_flux_err[own] / flux]))
    return list(zip(radius, out[0][0], out[0][1], out[1][0], strict=True))


def _measured(image: NDArray[np.float32], settings: dict[str, Any], subtract: bool) -> Any:
    """Return the sources of a frame whose PSF is known."""
    from etendue.app.pixels import as_exposure
    from etendue.image.psf import GaussianMixturePsf
    from etendue.tasks.background.background import SubtractBackgroundConfig
    from etendue.tasks.characterize.characterize import CharacterizeConfig, CharacterizeTask

    amplitude, moments = survey_frame.mixture()
    psf = GaussianMixturePsf(list(amplitude), *(list(part) for part in moments), 61)
    sky = SubtractBackgroundConfig(**settings)
    config = CharacterizeConfig(fit_psf=False, background=sky, subtract_haloes=subtract)
    return CharacterizeTask(config).run(exposure=as_exposure(image, gain=1.0, psf=psf)).columns


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The fitted sky against the true one.")
    parts = {"fields": fields, "galaxies": galaxies, "visit": visit, "halo": halo}
    parser.add_argument("--only", nargs="*", choices=tuple(parts))
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    parser.add_argument("--size", type=int, default=2048, help="side of the fields [px]; galaxies take twice that")
    parser.add_argument("--set", nargs="*", default=[], help="NAME=VALUE of SubtractBackgroundConfig")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    settings = {name: json.loads(value) for name, value in (item.split("=") for item in options.set)}
    path = options.out / f"background-{datetime.now(UTC):%Y-%m-%d}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    facts = machine_facts()
    for name in options.only or tuple(parts):
        size = options.size if name == "fields" else 2 * options.size
        before[name] = parts[name](options.seeds, size, settings) | {"seeds": options.seeds, "commit": facts["commit"]}
        print(name, json.dumps(rounded(before[name]), indent=1), flush=True)
        if not options.dry:
            path.write_text(json.dumps(rounded(before | {"machine": facts, "settings": settings}), indent=1) + "\n")


if __name__ == "__main__":
    main()
