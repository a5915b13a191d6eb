"""Score whether every flux of stars is the whole flux, over seeing and field, and the colours of galaxies.

Star fields of 0.5 to 1.5 arcsec seeing (0.2 arcsec pixels) whose PSF varies over the image go through
`CharacterizeTask`: the PSF is fitted, aperture corrections too. Galaxies without colour gradients are measured behind
two PSFs, in the second at held places. Run: ``python benchmarks/total_fluxes.py [--seeds 1 2]``; writes
results/total-fluxes-DATE.json.
"""

import argparse
import json
from dataclasses import replace
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path

import galsim
import numpy as np
from galaxies import FLUX, SEEINGS, build_scene, draw_sources, pixel_basis
from machine import HERE, machine_facts, rounded

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.characterize.characterize import CharacterizeConfig, CharacterizeTask
from etendue.tasks.measure.adaptive_shape import AdaptiveShapes
from etendue.tasks.measure.aperture_corrections import corrected
from etendue.tasks.measure.apertures import AperturesConfig
from etendue.tasks.measure.gaap import Gaap
from etendue.tasks.measure.galaxies import Galaxies
from etendue.tasks.measure.held_models import HeldModels
from etendue.tasks.measure.measure import MeasureConfig
from etendue.tasks.measure.sersic import Sersic

SIZE, STARS, SKY, PIXEL = 1400, 450, 900.0, 0.2
SEEING_ARCSEC = (0.5, 0.7, 1.0, 1.5)
SIDE = 401  # px of drawn stars: beyond it a Kolmogorov profile of 1.5 arcsec has 0.02% of its light
PROFILES = {"kolmogorov": galsim.Kolmogorov, "moffat": partial(galsim.Moffat, beta=3.5)}  # with wings, and without
MEASUREMENTS = ("apertures", "moments", "hsm", "extendedness", "kron", "gaap", "galaxies")
MMAG = 1085.736


def star_field(profile, seeing, rng):
    """Return an exposure of stars with photon noise on a flat sky, and their places and fluxes."""
    x, y = rng.uniform(40, SIZE - 40, (2, STARS))
    flux = 10.0 ** rng.uniform(4.0, 6.2, STARS)
    edge = SIDE // 2
    image = np.zeros((SIZE + 2 * edge, SIZE + 2 * edge))
    for star in zip(x, y, flux, strict=True):
        u, v = 2.0 * star[0] / SIZE - 1.0, 2.0 * star[1] / SIZE - 1.0
        psf = PROFILES[profile](fwhm=seeing / PIXEL * (1.0 + 0.04 * u + 0.02 * v * v)).shear(g1=0.02 * u, g2=0.02 * v)
        col, row = int(np.rint(star[0])), int(np.rint(star[1]))
        drawn = psf.withFlux(star[2]).shift(star[0] - col, star[1] - row).drawImage(nx=SIDE, ny=SIDE, scale=1.0)
        image[row : row + SIDE, col : col + SIDE] += drawn.array
    pixels = rng.poisson(np.maximum(image[edge:-edge, edge:-edge], 0.0) + SKY) - SKY
    box = Box.from_shape(pixels.shape)
    variance = Image(np.maximum(pixels + SKY, 1.0).astype(np.float32), box)
    exposure = Exposure(
        image=Image(pixels.astype(np.float32), box), mask=Mask.empty(box), variance=variance, unit="electron"
    )
    return exposure, x, y, flux


def score_stars(profile, seeing, seeds):
    """Return, per flux, its median offset from the truth, how it varies over the field, and what cModel adds to PSF."""
    config = CharacterizeConfig(
        measure=MeasureConfig(measurements=MEASUREMENTS, apertures=AperturesConfig(radii=(3.0, 6.0, 9.0, 12.0, 17.0)))
    )
    kept = {}
    for seed in seeds:
        exposure, x, y, flux = star_field(profile, seeing, np.random.default_rng([seed, int(100 * seeing)]))
        found = CharacterizeTask(config).run(exposure=exposure)
        columns = corrected(found.columns, found.exposure.aperture_corrections)
        distance = np.hypot(columns.x[:, None] - x, columns.y[:, None] - y)
        near, apart = distance.argmin(axis=1), np.hypot(x[:, None] - x, y[:, None] - y) + 1e9 * np.eye(STARS)
        snr = columns.psf_flux / columns.psf_flux_err
        use = (distance.min(axis=1) < 1.0) & (apart.min(axis=1)[near] > 40.0) & (snr > 100.0)
        raw = {name: columns.measured[name] for name in columns.measured if name.endswith("Flux")}
        circles = [name for name in raw if name.startswith("ap") and f"{name}_apCorr" in columns.measured]
        raw |= {f"{name}*apCorr": raw[name] * columns.measured[f"{name}_apCorr"] for name in circles}
        raw["psfFlux"] = columns.psf_flux
        true = flux[near][use]
        part = kept.setdefault("x", []), kept.setdefault("y", []), kept.setdefault("snr", [])
        for column, value in zip(part, (columns.x[use], columns.y[use], snr[use]), strict=True):
            column.append(value)
        for name, value in raw.items():
            kept.setdefault(name, []).append(value[use] / true)
        kept.setdefault("cModel over psf", []).append(
            raw.get("cModelFlux", raw["psfFlux"])[use] / columns.psf_flux[use]
        )
    together = {name: np.concatenate(parts) for name, parts in kept.items() if len(parts) == len(seeds)}
    x, y, snr = (together.pop(name) for name in ("x", "y", "snr"))
    result = {name: summary(ratio, x, y) for name, ratio in together.items()}
    return result | {"stars": x.size, "cModel over psf, S/N > 500": summary(together["cModel over psf"][snr > 500.0])}


def summary(ratio, x=None, y=None):
    """Return the median of a ratio minus 1, its error, and the spread of medians over 3 x 3 parts [mmag]."""
    if not np.isfinite(ratio).any():  # apertures narrower than the PSF
        return None
    width = 0.7413 * np.subtract(*np.nanpercentile(ratio, [75, 25]))
    near = ratio[np.abs(ratio - np.nanmedian(ratio)) < 5.0 * max(width, 1e-6)]
    found = {"mean_mmag": MMAG * (near.mean() - 1.0), "median_mmag": MMAG * (np.nanmedian(ratio) - 1.0)}
    found["err_mmag"] = MMAG * 1.25 * width / np.sqrt(ratio.size)
    if x is not None:
        cell = (3 * x / SIZE).astype(int) + 3 * (3 * y / SIZE).astype(int)
        parts = [MMAG * np.nanmedian(ratio[cell == k]) for k in range(9)]
        errors = [MMAG * 1.25 * width / np.sqrt(np.count_nonzero(cell == k)) for k in range(9)]
        found |= {"field_rms_mmag": float(np.std(parts)), "field_noise_mmag": float(np.mean(errors))}
    return {name: float(value) for name, value in found.items()}


def score_colours(seeds, snr=200.0, count=60, repeats=6):
    """Return mean colours minus truth [mmag] of galaxies behind two PSFs, by kind and flux."""
    result, blue, red = {}, SEEINGS["moffat"], galsim.Kolmogorov(fwhm=4.2).shear(g1=-0.02, g2=0.03)
    for kind in ("star", "exponential", "de vaucouleurs", "bulge+disc", "sersic 2"):
        ratios = {}
        for seed in seeds:
            found = []
            for band, seeing in enumerate((blue, red)):
                stamps, offsets, _ = draw_sources(kind, seeing, count, np.random.default_rng([seed, len(kind)]))
                rng = np.random.default_rng([seed, len(kind), band])
                stamps, offsets = np.tile(stamps, (repeats, 1, 1)), np.tile(offsets, (repeats, 1))
                sigma = np.sqrt((stamps**2).sum(axis=(1, 2))) / snr
                noisy = stamps + rng.normal(0.0, 1.0, stamps.shape) * sigma[:, None, None]
                scene = replace(build_scene(noisy, offsets, sigma, pixel_basis(seeing), None), forced=band == 1)
                known = AdaptiveShapes().run(scene, {})
                models = Galaxies().run(scene, known)
                reference = {f"reference_{name}": value for name, value in (models if not found else found[0]).items()}
                held = {f"held {name}": value for name, value in HeldModels().run(scene, reference).items()}
                found.append({**Gaap().run(scene, known), **models, **held})
            for name in ("gaap0p7Flux", "gaap1p0Flux", "cModelFlux", "expFlux", "devFlux", "held cModelFlux"):
                ratios.setdefault(name, []).append(found[0][name] / found[1][name])
        result[kind] = {name: summary(np.concatenate(parts)) for name, parts in ratios.items()}
    return result


def score_totals(seeds, count=60, repeats=6):
    """Return total fluxes minus truth [mmag] of stars and galaxies behind one PSF, by kind, S/N and model."""
    result, seeing = {}, SEEINGS["kolmogorov"]
    psf = pixel_basis(seeing)
    for kind in ("star", "exponential", "de vaucouleurs", "bulge+disc", "sersic 2"):
        for snr in (20.0, 60.0, 600.0):
            ratios = {}
            for seed in seeds:
                rng = np.random.default_rng([seed, len(kind), int(snr)])
                stamps, offsets, _ = draw_sources(kind, seeing, count, rng)
                stamps, offsets = np.tile(stamps, (repeats, 1, 1)), np.tile(offsets, (repeats, 1))
                sigma = np.sqrt((stamps**2).sum(axis=(1, 2))) / snr
                noisy = stamps + rng.normal(0.0, 1.0, stamps.shape) * sigma[:, None, None]
                scene = build_scene(noisy, offsets, sigma, psf, None)
                found = Galaxies().run(scene, AdaptiveShapes().run(scene, {}))
                found |= Sersic().run(scene, found)
                for name in ("pointFlux", "expFlux", "devFlux", "cModelFlux", "sersicFlux"):
                    ratios.setdefault(name, []).append(found[name] / FLUX)
            result[f"{kind}/{snr:g}"] = {name: summary(np.concatenate(parts)) for name, parts in ratios.items()}
    return result


def main():
    """Score and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[7701, 7702, 7703])
    parser.add_argument("--only-stars", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "results" / f"total-fluxes-{date.today()}.json")
    options = parser.parse_args()
    result = {"machine": machine_facts(), "seeds": options.seeds, "flux": FLUX}
    if not options.only_stars:
        result["colours, S/N 200"] = score_colours(options.seeds)
        result["totals"] = score_totals(options.seeds)
    result["stars"] = {
        f"{profile} {seeing} arcsec": score_stars(profile, seeing, options.seeds)
        for profile, seeing in product(PROFILES, SEEING_ARCSEC)
    }
    options.out.write_text(json.dumps(rounded(result), indent=1) + "\n")
    print(json.dumps(rounded(result, 3), indent=1))


if __name__ == "__main__":
    main()
