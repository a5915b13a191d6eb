"""Score the errors of every measurement: pulls of fluxes, positions and shapes of stars and galaxies in whole images.

Images are measured by `MeasureTask` from true positions: isolated on a grid or crowded at random, in white or
correlated noise with photon noise, with the true PSF or one fitted to the image. The truth of a column is what the same
measurement finds on the noiseless source alone, or the total of the true model. Signal-to-noise is that of the best
weights for the source's own profile, correlation included. Run: ``python benchmarks/pulls.py [--seeds 7 8]``.

"""

import argparse
import json
from collections import defaultdict
from datetime import date
from itertools import product
from pathlib import Path

import galsim
import numpy as np
from galaxies import KERNEL, SEEINGS, SIDE, build_scene, draw_sources, pixel_basis, pulls
from machine import HERE, machine_facts, rounded

from etendue.app.pixels import ALL_MEASUREMENTS
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.noise import NoiseAutocorrelation
from etendue.tasks.detect.detect import DetectTask
from etendue.tasks.measure.measure import MeasureConfig, MeasureTask
from etendue.tasks.measure.measurement import find_measurement
from etendue.tasks.psf.psf import FitPsfTask

SIZE, EDGE, STEP, SLOPE = 2000, 40, 60, 0.03  # px, px, px of the grid, rise of the variance with the pixel value
BINS = ((5, 10), (10, 30), (30, 100), (300, 1000))
SHARE = (0.3, 0.3, 0.25, 0.15)  # of sources per bin
KINDS = {"star": 0.45, "exponential": 0.25, "de vaucouleurs": 0.15, "bulge+disc": 0.1, "trail": 0.05}
CROWDED_KINDS = {"star": 0.8, "exponential": 0.12, "de vaucouleurs": 0.08}
AREA = 400.0  # px^2 per source of crowded fields
TEMPLATES = 60
BARS = {"mean": 0.03, "width": (0.97, 1.03), "measured": 0.98}
QUIET_FLUXES = (
    "ap03Flux", "ap06Flux", "ap09Flux", "ap12Flux", "kronFlux", "gaap0p7Flux", "gaap1p0Flux",
)  # fmt: skip
MODEL_FLUXES = {
    "star": ("psfFlux", "forcedFlux", "pointFlux", "cModelFlux"),
    "exponential": ("expFlux", "cModelFlux", "sersicFlux"),
    "de vaucouleurs": ("devFlux", "cModelFlux", "sersicFlux"), "bulge+disc": ("cModelFlux", "sersicFlux"),
    "trail": ("trailFlux",),
}  # fmt: skip
ELLIPSES = {"exponential": ("exp", "sersic"), "de vaucouleurs": ("dev", "sersic")}


def trail_templates(seeing, count, rng):
    """Return noise-free stamps of trails of 1,000 units, offsets, and their lengths and angles [px, deg]."""
    stamps, offsets, shapes = [], rng.uniform(-0.5, 0.5, (count, 2)), []
    for dx, dy in offsets:
        length, angle = rng.uniform(6.0, 20.0), rng.uniform(-80.0, 80.0)
        line = galsim.Box(length, 1e-3, flux=1e3).rotate(angle * galsim.degrees)
        drawn = galsim.Convolve(line, seeing).shift(dx, dy).drawImage(nx=SIDE, ny=SIDE, scale=1.0)
        stamps.append(drawn.array.astype(np.float64))
        shapes.append((length, angle, np.nan))
    return np.stack(stamps), offsets, np.array(shapes)


def templates(kind, seeing, psf, rng):
    """Return (stamps, offsets, shapes, columns measured without noise) of sources of 1,000 units."""
    drawn = draw_sources(kind, seeing, TEMPLATES, rng) if kind != "trail" else trail_templates(seeing, TEMPLATES, rng)
    scene = build_scene(*drawn[:2], np.full(TEMPLATES, 1e-3), psf, None)
    known = {}
    for name in ALL_MEASUREMENTS:
        if name not in ("galaxies", "sersic", "trail", "dipole"):
            known |= find_measurement(name)(None).run(scene, known)
    return (*drawn, known)


def places(crowded, rng):
    """Return whole pixels of sources: on a grid, or at random."""
    if crowded:
        n = int((SIZE - 2 * EDGE) ** 2 / AREA)
        return rng.integers(EDGE, SIZE - EDGE, (2, n))
    step = np.arange(EDGE, SIZE - EDGE, STEP)
    x, y = np.meshgrid(step, step)
    return np.stack([x.ravel(), y.ravel()])


def draw_field(bank, crowded, law, rng):
    """Return noiseless pixels and what is true of each source: kind, template, flux scale, S/N bin, place."""
    x, y = places(crowded, rng)
    shares = CROWDED_KINDS if crowded else KINDS
    kind = rng.choice(list(shares), x.size, p=list(shares.values()))
    which, bin_ = rng.integers(0, TEMPLATES, x.size), rng.choice(len(BINS), x.size, p=SHARE)
    low, high = np.log(np.array(BINS, float)).T
    snr = np.exp(rng.uniform(low[bin_], high[bin_]))
    image, half = np.zeros((SIZE, SIZE)), SIDE // 2
    scale, offset = np.empty(x.size), np.empty((x.size, 2))
    for s in range(x.size):
        stamps, offsets, _, known = bank[kind[s]]
        stamp = stamps[which[s]]
        scale[s] = flux_scale(stamp, snr[s], known["noise_factor"][law is not None][which[s]])
        offset[s] = offsets[which[s]]
        image[y[s] - half : y[s] + half + 1, x[s] - half : x[s] + half + 1] += scale[s] * stamp
    return image, {
        "kind": kind,
        "which": which,
        "scale": scale,
        "bin": bin_,
        "x": x + offset[:, 0],
        "y": y + offset[:, 1],
    }


def flux_scale(stamp, snr, factor):
    """Return by what to multiply a stamp so that it has a signal-to-noise; its own photon noise counts."""
    scale = snr * np.sqrt(factor / (stamp**2).sum())
    for _ in range(20):
        scale = snr * np.sqrt(factor / (stamp**2 / (1.0 + SLOPE * scale * np.maximum(stamp, 0.0))).sum())
    return scale


def expose(image, law, psf, rng):
    """Return an exposure of a noiseless image of unit sky noise; its variance plane is that of the noisy pixels."""
    white = rng.normal(0.0, 1.0, image.shape)
    if law is not None:
        kernel = np.zeros(image.shape)
        kernel[:3, :3] = KERNEL / np.sqrt((KERNEL**2).sum())
        white = np.fft.irfft2(np.fft.rfft2(white) * np.fft.rfft2(kernel), image.shape)
    pixels = image + white * np.sqrt(1.0 + SLOPE * image)
    box = Box.from_shape(image.shape)
    return Exposure(
        image=Image(pixels.astype(np.float32), box), mask=Mask.empty(box),
        variance=Image(np.maximum(1.0 + SLOPE * pixels, 0.5).astype(np.float32), box), psf=psf, unit="electron",
        noise=law,
    )  # fmt: skip


def measured(exposure, truth, psf_kind):
    """Measure everything on one image; return columns."""
    if psf_kind == "fitted":
        bright = np.flatnonzero((truth["bin"] >= 2) & (truth["kind"] == "star"))
        snr = np.where(truth["bin"][bright] == 3, 500.0, 50.0)
        fit = FitPsfTask().run(exposure=exposure, x=truth["x"][bright], y=truth["y"][bright], snr=snr)
        exposure = exposure.replace(psf=fit.psf)
    found = DetectTask().run(exposure=exposure)
    task = MeasureTask(MeasureConfig(measurements=tuple(n for n in ALL_MEASUREMENTS if n != "dipole")))
    columns = task.run(exposure=exposure, x=truth["x"], y=truth["y"], footprints=found.footprints)
    held = MeasureTask(MeasureConfig(measurements=(), share_light=False)).run(
        exposure=exposure, x=truth["x"], y=truth["y"], forced=True
    )
    own = {"psfFlux": columns.psf_flux, "psfFluxErr": columns.psf_flux_err, "x": columns.x, "y": columns.y}
    own |= {"xErr": columns.x_err, "yErr": columns.y_err}
    return {**columns.measured, **own, "forcedFlux": held.psf_flux, "forcedFluxErr": held.psf_flux_err}


def comparisons(kind, columns, truth, here, bank):
    """Yield (name, found, truth, error) of every column of the sources of one kind."""
    _, _, shapes, known = bank[kind]
    which, scale = truth["which"][here], truth["scale"][here]

    def of(name):
        return columns[name][here]

    for name in QUIET_FLUXES:
        yield name, of(name), known[name][which] * scale, of(f"{name}Err")
    for name in MODEL_FLUXES[kind]:
        yield name, of(name), 1e3 * scale, of(f"{name}Err")
    for name in ("x", "y", "hsm_x", "hsm_y", "sdssCentroid_x", "sdssCentroid_y"):
        if name in columns:
            yield name, of(name), truth[name[-1]][here], of(f"{name}Err")
    for name in ("ixx", "iyy", "ixy", *(["broadFraction"] if kind == "star" else [])):
        yield name, of(name), known[name][which], of(f"{name}Err")
    for name in ("hsmShapeRegauss_e1", "hsmShapeRegauss_e2"):
        yield name, of(name), known[name][which], of("hsmShapeRegauss_sigma")
    for model in ELLIPSES.get(kind, ()):
        for axis, true in zip(("xx", "yy", "xy"), shapes[which].T, strict=True):
            yield f"{model}_{axis}", of(f"{model}_{axis}"), true, of(f"{model}_{axis}Err")
    index = {"exponential": 1.0, "de vaucouleurs": 4.0}.get(kind)
    if index:
        yield "sersic_index", of("sersic_index"), np.full(which.size, index), of("sersic_indexErr")
    if kind == "trail":
        yield "trail_length", of("trail_length"), shapes[which, 0], of("trail_lengthErr")
        yield "trail_angle", of("trail_angle"), shapes[which, 1], of("trail_angleErr")


def score_fields(seeds, conditions):
    """Return pulls by condition, kind, column and bin."""
    kept = defaultdict(list)
    seeing, law = SEEINGS["kolmogorov"], NoiseAutocorrelation.from_filter(KERNEL)
    psf = pixel_basis(seeing)
    rng = np.random.default_rng([seeds[0], 99])
    bank = {kind: templates(kind, seeing, psf, rng) for kind in KINDS}
    for stamps, _, _, known in bank.values():
        known["noise_factor"] = np.ones(len(stamps)), np.array([law.flux_variance_factor(s) for s in stamps])
    for seed, (crowding, noise, psf_kind) in product(seeds, conditions):
        rng = np.random.default_rng([seed, crowding == "crowded", noise == "correlated", psf_kind == "fitted"])
        correlated = law if noise == "correlated" else None
        image, truth = draw_field(bank, crowding == "crowded", correlated, rng)
        columns = measured(expose(image, correlated, psf, rng), truth, psf_kind)
        for kind, number in product(KINDS, range(len(BINS))):
            here = np.flatnonzero((truth["kind"] == kind) & (truth["bin"] == number))
            limits = "{}-{}".format(*BINS[number])
            for name, *triple in comparisons(kind, columns, truth, here, bank) if here.size else ():
                kept[f"{crowding}/{noise}/{psf_kind}", kind, name, limits].append(triple)
    result = {}
    for (condition, kind, name, limits), triples in kept.items():
        found, true, error = (np.concatenate(part) for part in zip(*triples, strict=True))
        row = pulls(found, true, error)
        if row:
            row["bias"] = relative_bias(found, true) if name.endswith("Flux") else None
            result.setdefault(condition, {}).setdefault(kind, {}).setdefault(name, {})[limits] = row
    return result


def relative_bias(found, true):
    """Return the error-weighted-free median of found over true minus 1."""
    return float(np.nanmedian(found / true) - 1.0)


def outside(row):
    """Return which bars a row misses by more than two standard errors."""
    width_err = 1.16 / np.sqrt(row["n"]) * row["width"]
    low, high = BARS["width"]
    return [
        *(["mean"] if abs(row["mean"]) - 2.0 * row["mean_err"] > BARS["mean"] else []),
        *(["width"] if row["width"] + 2.0 * width_err < low or row["width"] - 2.0 * width_err > high else []),
        *(["measured"] if row["measured"] < BARS["measured"] else []),
    ]


def table(result):
    """Return lines of what was found, bars missed marked."""
    lines = []
    for condition, kinds in result.items():
        for kind, names in kinds.items():
            for name, rows in names.items():
                cells = []
                for limits in ("{}-{}".format(*one) for one in BINS):
                    row = rows.get(limits)
                    if row is None:
                        cells.append(f"{'-':>24s}")
                        continue
                    mark = "".join(word[0] for word in outside(row)) or "."
                    cells.append(f"{row['mean']:+6.2f} {row['width']:5.2f} {100 * row['measured']:4.0f}% {mark:>4s}")
                lines.append(f"{condition:26s} {kind:14s} {name:18s} " + " | ".join(cells))
    return lines


def main():
    """Score the asked conditions and write the result, beside what the file holds of others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[7501, 7502])
    parser.add_argument("--conditions", nargs="*", help="such as isolated/white/true; all by default")
    parser.add_argument("--out", type=Path, default=HERE / "results" / f"pulls-{date.today()}.json")
    options = parser.parse_args()
    every = list(product(("isolated", "crowded"), ("white", "correlated"), ("true", "fitted")))
    conditions = [tuple(one.split("/")) for one in options.conditions] if options.conditions else every
    scores = score_fields(options.seeds, conditions)
    before = json.loads(options.out.read_text()) if options.out.exists() else {}
    seeds = before.get("seeds", {}) | dict.fromkeys(scores, options.seeds)
    found = {"machine": machine_facts(), "seeds": seeds, "bars": BARS, "area_px2": AREA}
    found["scores"] = before.get("scores", {}) | scores
    options.out.write_text(json.dumps(rounded(found), separators=(",", ":")) + "\n")
    print("\n".join(table(scores)))


if __name__ == "__main__":
    main()
