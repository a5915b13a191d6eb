"""Frames that break programs: empty, tiny, crowded, trailed, defocused, with holes, at any scale. What comes of them?

Each is processed twice: as an array (`etendue.app.pixels.characterize`) and as a FITS file against a catalog
(`etendue.app.process`). The outcome is an AlgorithmError with its text, or what the sources are worth.

Usage: python benchmarks/robustness.py [--only blank trailed ...] [--seed 9301] [--out benchmarks/results]
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import HERE, machine_facts, rounded
from numpy.typing import NDArray
from profiles import MOFFAT
from scipy import special

SEED = 9302  # fresh: never looked at while settings were chosen
SIDE, SKY, FULL_WELL = 1024, 600.0, 60000.0
RA, DEC, ZERO = 150.0, 20.0, 27.0  # deg; AB magnitude of one electron
Real = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """Pixels [e-] and the stars in them; ``fwhm`` of the seeing in px."""

    pixels: Real
    x: Real
    y: Real
    flux: Real
    fwhm: float
    scale: float = 1.0  # arcsec per px


def add_points(image: Real, x: Real, y: Real, flux: Real, fwhm: float) -> None:
    """Add Moffats (sums of Gaussians) integrated over pixels; light below 0.05 e-/px is left out."""
    for amplitude, variance in zip(MOFFAT.amplitude, MOFFAT.variance * fwhm**2, strict=True):
        sigma = np.sqrt(variance)
        peak = amplitude * flux / (2.0 * np.pi * variance)
        half = np.ceil(sigma * np.sqrt(2.0 * np.log(np.maximum(peak, 0.06) / 0.05)) + 1.0).astype(int)
        for k in range(x.size):
            x0, x1 = max(round(x[k]) - half[k], 0), min(round(x[k]) + half[k] + 1, image.shape[1])
            y0, y1 = max(round(y[k]) - half[k], 0), min(round(y[k]) + half[k] + 1, image.shape[0])
            if x0 < x1 and y0 < y1:
                along = [
                    np.diff(0.5 * special.erf((np.arange(a, b + 1) - 0.5 - c) / (sigma * 2**0.5)))
                    for a, b, c in ((x0, x1, x[k]), (y0, y1, y[k]))
                ]
                image[y0:y1, x0:x1] += amplitude * flux[k] * np.outer(along[1], along[0])


def field(
    rng: np.random.Generator, n: int = 300, *, side: int = SIDE, fwhm: float = 3.0, scale: float = 1.0,
    shape: tuple[Real, Real] = (np.zeros(1), np.zeros(1)), faintest: float = 1500.0, brightest: float = 3e5,
) -> Scene:  # fmt: skip
    """Draw a field whose stars have the shape of points at the offsets ``shape``, smoothed by seeing of ``fwhm``."""
    x, y = rng.uniform(12.0, side - 13.0, (2, n))
    flux = np.minimum(faintest / rng.random(n), brightest)  # counts as 1/flux
    light, many = np.zeros((side, side)), shape[0].size
    for dx, dy in zip(*shape, strict=True):
        add_points(light, x + dx, y + dy, flux / many, fwhm)
    sky = SKY * (1.0 + 0.03 * np.linspace(-0.5, 0.5, side))
    pixels = rng.poisson(light + sky) + rng.normal(0.0, 5.0, light.shape)
    return Scene(np.minimum(pixels, FULL_WELL), x, y, flux, fwhm, scale)


def blank(rng: np.random.Generator) -> Scene:
    return field(rng, 0)


def three_stars(rng: np.random.Generator) -> Scene:
    return field(rng, 3, brightest=2e4)


def bright_star(rng: np.random.Generator) -> Scene:
    """Draw a field with a star whose halo and saturated core fill a quarter of the frame."""
    scene = field(rng)
    row, column = np.mgrid[:SIDE, :SIDE]
    radius = np.hypot(row - 400.0, column - 600.0)
    light = 6e4 * (SIDE * np.sqrt(0.25 / np.pi) / np.maximum(radius, 20.0)) ** 3 * (radius < 2000.0) / 60.0
    pixels = np.minimum(scene.pixels + rng.poisson(np.minimum(light, 2e5)), FULL_WELL)
    return replace(scene, pixels=pixels)


def trailed(rng: np.random.Generator) -> Scene:
    step = np.linspace(-10.0, 10.0, 21)
    return field(rng, shape=(step, 0.3 * step))


def defocused(rng: np.random.Generator) -> Scene:
    """Draw rings of 9 to 14 px, as pupils with an obstruction make them."""
    angle = np.arange(0.0, 2.0 * np.pi, 2.0 * np.pi / 24)
    ring = np.concatenate([radius * np.exp(1j * angle) for radius in (5.0, 6.0, 7.0)])
    return field(rng, 250, shape=(ring.real, ring.imag))


def nan_stripes(rng: np.random.Generator) -> Scene:
    scene = field(rng)
    pixels = scene.pixels.copy()
    pixels[:, 200:230] = np.nan
    pixels[500:503] = np.nan
    pixels[::64] = np.nan
    return replace(scene, pixels=pixels)


def half_nan(rng: np.random.Generator) -> Scene:
    scene = field(rng)
    pixels = scene.pixels.copy()
    pixels[:, SIDE // 2 :] = np.nan
    return replace(scene, pixels=pixels)


def satellite(rng: np.random.Generator) -> Scene:
    scene = field(rng)
    along = np.linspace(-50.0, SIDE + 50.0, 1500)
    light = np.zeros((SIDE, SIDE))
    add_points(light, along, 300.0 + 0.4 * along, np.full(along.size, 900.0), 3.0)
    return replace(scene, pixels=scene.pixels + rng.poisson(light))


def zeros(rng: np.random.Generator) -> Scene:
    return replace(field(rng, 0), pixels=np.zeros((SIDE, SIDE)))


def saturated(rng: np.random.Generator) -> Scene:
    return replace(field(rng, 0), pixels=np.full((SIDE, SIDE), FULL_WELL))


def tiny(rng: np.random.Generator) -> Scene:
    return field(rng, 20, side=128)


def hundred_thousand(rng: np.random.Generator) -> Scene:
    """Draw 100,000 stars on 4096 px, by a kernel that evaluates their light at pixel centres."""
    import survey_frame

    side, survey_frame.FWHM = 4096, 3.0
    x, y = rng.uniform(12.0, side - 13.0, (2, 100_000))
    flux, light = np.minimum(1500.0 / rng.random(x.size), 3e5), np.zeros((side, side))
    survey_frame.draw_points(light, x, y, flux, floor=0.05)
    pixels = np.minimum(rng.poisson(light + SKY) + rng.normal(0.0, 5.0, light.shape), FULL_WELL)
    return Scene(pixels, x, y, flux, 3.0)


CASES: dict[str, Callable[[np.random.Generator], Scene]] = {
    "blank": blank,
    "zeros": zeros,
    "saturated": saturated,
    "three_stars": three_stars,
    "tiny": tiny,
    "ordinary": field,
    "bright_star": bright_star,
    "trailed": trailed,
    "defocused": defocused,
    "nan_stripes": nan_stripes,
    "half_nan": half_nan,
    "satellite": satellite,
    "0.1_arcsec": lambda rng: field(rng, fwhm=9.0, scale=0.1),
    "0.05_arcsec": lambda rng: field(rng, 150, fwhm=14.0, scale=0.05, faintest=6000.0),
    "5_arcsec": lambda rng: field(rng, fwhm=1.6, scale=5.0),
    "20_arcsec": lambda rng: field(rng, fwhm=1.2, scale=20.0),
    "undersampled": lambda rng: field(rng, fwhm=0.8, scale=1.0),
}
BIG = {"hundred_thousand": hundred_thousand}


def fits_file(scene: Scene, folder: Path) -> tuple[Path, Path]:
    """Write a raw frame with the header of a small observatory, and the catalog of its stars."""
    from astropy.io import fits
    from astropy.table import Table

    from etendue.geom.sky_wcs import SkyWcs

    side = scene.pixels.shape[0]
    cards = {
        "TELESCOP": "Backyard", "INSTRUME": "ACME", "OBJECT": "field", "IMAGETYP": "Light Frame", "FILTER": "r",
        "EXPTIME": 30.0, "DATE-OBS": "2026-03-20T20:00:00", "GAIN": 1.0, "EGAIN": 1.0, "RDNOISE": 5.0,
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": RA, "CRVAL2": DEC, "CRPIX1": side / 2 + 4.0,
        "CRPIX2": side / 2 - 3.0, "CD1_1": -scene.scale / 3600.0, "CD2_2": scene.scale / 3600.0, "CD1_2": 0.0,
        "CD2_1": 0.0, "SITELAT": 35.0, "SITELONG": -111.0, "SATURATE": FULL_WELL,
    }  # fmt: skip
    hdu = fits.PrimaryHDU(scene.pixels.astype(np.float32))
    hdu.header.update(cards)
    hdu.writeto(folder / "frame.fits")
    wcs = SkyWcs.tan(
        crpix_x=side / 2, crpix_y=side / 2, crval_ra_deg=RA, crval_dec_deg=DEC,
        cd=np.diag([-scene.scale, scene.scale]) / 3600.0,
    )  # fmt: skip
    ra, dec = wcs.pixel_to_sky(x=scene.x, y=scene.y)
    bright = np.argsort(-scene.flux)[:2000]
    table = Table({
        "ra": np.atleast_1d(ra)[bright], "dec": np.atleast_1d(dec)[bright],
        "r_mag": ZERO - 2.5 * np.log10(scene.flux[bright]),
    })  # fmt: skip
    table.write(folder / "stars.csv", format="ascii.csv", overwrite=True)
    return folder / "frame.fits", folder / "stars.csv"


_DOUBTFUL = ("psfFlux_flag", "pixelFlags_streak", "pixelFlags_saturated", "pixelFlags_cr", "pixelFlags_halo")


def worth(scene: Scene, table: Any, scale: float) -> dict[str, Any]:
    """Compare sources, whose fluxes times ``scale`` are electrons, with the isolated stars of the scene."""
    from scipy.spatial import cKDTree

    names = table.colnames if hasattr(table, "colnames") else table.names
    x, y, flux, flux_err = (np.asarray(table[name]) for name in ("x", "y", "psfFlux", "psfFluxErr"))
    flux, flux_err = scale * flux, scale * flux_err
    bad = np.any([np.asarray(table[name]) for name in _DOUBTFUL if name in names], axis=0)
    if not scene.x.size:
        return {"n_source": x.size}
    places = np.column_stack([scene.x, scene.y])
    seen = np.isfinite(scene.pixels)[np.rint(scene.y).astype(int), np.rint(scene.x).astype(int)]
    alone = cKDTree(places).query(places, k=min(2, len(places)))[0].reshape(len(places), -1)[:, -1] > 5.0 * scene.fwhm
    snr = scene.flux / np.sqrt(scene.flux + 1.14 * scene.fwhm**2 * 2.3 * (SKY + 25.0))
    distance, own = cKDTree(np.column_stack([x, y])).query(places)
    reach = max(1.0, 0.5 * scene.fwhm)
    good = seen & alone & (snr > 10.0) & (scene.flux < 2e5)
    hit = good & (distance < reach) & ~bad[own]
    ratio = flux[own] / scene.flux - 1.0
    pull = (flux[own] - scene.flux) / flux_err[own]
    false = cKDTree(places).query(np.column_stack([x, y]))[0] > 3.0 * reach
    return {
        "n_source": x.size, "n_star": scene.x.size, "judged": int(good.sum()),
        "found": float(np.mean(distance[good] < reach)) if good.any() else None, "unflagged": int(hit.sum()),
        "flux_bias": float(np.median(ratio[hit])) if hit.any() else None,
        "pull_width": float(0.741 * np.subtract(*np.percentile(pull[hit], [75, 25]))) if hit.sum() > 5 else None,
        "far_from_stars": int(false.sum()), "of_these_unflagged": int((false & ~bad).sum()),
    }  # fmt: skip


def as_array(scene: Scene) -> dict[str, Any]:
    """Measure the pixels by the public function."""
    from etendue.app.pixels import characterize

    found = characterize(scene.pixels, gain=1.0)
    fwhm = float(found.psf.fwhm(x=SIDE / 2, y=SIDE / 2)[0]) if found.psf else None
    return worth(scene, found.table, 1.0) | {"fwhm_px": fwhm}


def as_file(scene: Scene) -> dict[str, Any]:
    """Process the frame against its catalog."""
    from etendue.app.process import process

    with tempfile.TemporaryDirectory() as name:
        frame, catalog = fits_file(scene, Path(name))
        result = process(frame, refcat=catalog if scene.x.size else None)
    summary = result.summary()
    return worth(scene, result.sources, 10 ** (0.4 * (ZERO - 31.4))) | {
        name: summary[name]
        for name in ("fwhm_px", "n_reference", "astrometric_rms_mas", "photometric_rms_mag", "noise_ratio",
                     "masked_fraction", "notes")
    }  # fmt: skip


def outcome(run: Callable[[Scene], dict[str, Any]], scene: Scene) -> dict[str, Any]:
    """Return what came of a scene, and the CPU seconds."""
    from etendue.errors import EtendueError

    begin = time.process_time()
    try:
        result = run(scene)
    except EtendueError as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    return result | {"cpu_s": time.process_time() - begin}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=[*CASES, *BIG])
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    facts, rows = machine_facts(), {}
    for name in args.only or CASES:
        scene = (CASES | BIG)[name](np.random.default_rng([args.seed, len(name)]))
        rows[name] = {"array": outcome(as_array, scene)}
        if name in BIG:
            rows[name]["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps(rounded({name: rows[name]})), flush=True)
        rows[name]["file"] = outcome(as_file, scene)
        print(json.dumps(rounded({name: rows[name]})), flush=True)
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    record = {"date": when, "seed": args.seed, "machine": facts, "cases": rows}
    args.out.mkdir(exist_ok=True)
    (args.out / f"robustness-{when}.json").write_text(json.dumps(rounded(record), indent=1) + "\n")


if __name__ == "__main__":
    main()
