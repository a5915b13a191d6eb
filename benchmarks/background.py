"""Score the sky against the sky that was put in: star and galaxy fields, large galaxies, the halo of a bright star.

Usage: python benchmarks/background.py [--only fields galaxies halo] [--seeds 8101 8102 ...] [--out benchmarks/results]
"""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The fitted sky against the true one.")
    parts = {"fields": fields, "galaxies": galaxies}
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
