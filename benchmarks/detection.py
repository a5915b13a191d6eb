"""Score detection against an oracle on the same pixels: completeness, false peaks, and peers at equal purity.

Usage: python benchmarks/detection.py [--only completeness false peers] [--images 4] [--out benchmarks/results]
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import detection_oracle as oracle
import frame_score
import frame_sides
import numpy as np
import survey_frame
from machine import HERE, machine_facts, rounded
from numpy.typing import NDArray

SIGMAS = (2.0, 1.3, 0.85)  # of the Gaussian PSF [px]
EXPECTED_HALF = {2.0: 4.84, 1.3: 4.92, 0.85: 5.08}
THRESHOLD = 5.0
SNR_RANGE = (3.5, 6.5)
SPACING = 32  # px between isolated sources
SEED = 7001  # fresh: none of these was looked at while settings were chosen
FALSE_THRESHOLDS = (3.5, 4.0, 4.5, 5.0)
LEAST_COUNTS = 900
DENSITIES = {"sparse": 150, "ordinary": 1200, "crowded": 5000}  # sources per megapixel
PEER_SCAN = (3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0)
Real = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """Noise (and sources) of known variance, mask and correlation."""

    image: Real
    variance: Real
    bad: NDArray[np.bool_]
    correlation: Real | None = None


def noise_scene(kind: str, rng: np.random.Generator, size: int) -> Scene:
    """Draw source-free noise: white, of varying variance, with holes, or correlated."""
    variance, bad, correlation = np.ones((size, size)), np.zeros((size, size), bool), None
    image = rng.normal(size=(size, size))
    if kind == "varying":  # a slope of a factor of four and a step between amplifiers
        variance *= np.linspace(0.5, 2.0, size)[:, None]
        variance[:, size // 2 :] *= 1.3
        image *= np.sqrt(variance)
    if kind == "masked":
        bad |= rng.random((size, size)) < 2e-3
        bad[:, rng.integers(0, size, size // 100)] = True
        bad[size // 3 : size // 3 + 40, size // 4 : size // 2] = True
    if kind == "correlated":
        kernel = np.outer(*2 * (np.array([0.25, 1.0, 0.35]),))
        kernel /= np.sqrt(np.sum(kernel**2))
        image = oracle.correlated(np.pad(image, 1, mode="wrap"), kernel)[1:-1, 1:-1]
        padded = np.pad(kernel, 2)
        correlation = np.array([[np.sum(padded * np.roll(padded, (j, i), (0, 1))) for i in range(-2, 3)]
                                for j in range(-2, 3)])  # fmt: skip
        correlation = 0.5 * (correlation + correlation[::-1, ::-1])
    return Scene(image, variance, bad, correlation)


def with_sources(scene: Scene, sigma: float, rng: np.random.Generator) -> tuple[Scene, Real, Real, Real]:
    """Add isolated sources on a grid, each at a random sub-pixel phase; return also x, y and true S/N."""
    size = scene.image.shape[0]
    grid = np.arange(SPACING, size - SPACING / 2, SPACING)
    y, x = (axis.ravel() + rng.uniform(-3.0, 3.0, axis.size) for axis in np.meshgrid(grid, grid, indexing="ij"))
    snr = rng.uniform(*SNR_RANGE, x.size)
    half = int(np.ceil(oracle.TRUNCATION * sigma))
    offset = np.arange(-half, half + 1)
    image = scene.image.copy()
    for xi, yi, one in zip(x, y, snr, strict=True):
        col, row = round(xi), round(yi)
        shape = [np.exp(-0.5 * (offset + c - p) ** 2 / sigma**2) for c, p in ((row, yi), (col, xi))]
        stamp = np.outer(*shape) / (2.0 * np.pi * sigma**2)
        here = (slice(row - half, row + half + 1), slice(col - half, col + half + 1))
        image[here] += one * np.sqrt(4.0 * np.pi) * sigma * stamp  # the noise of an optimal flux is 2 sqrt(pi) sigma
    return Scene(image, scene.variance, scene.bad, scene.correlation), x, y, snr


def ours(scene: Scene, sigma: float, threshold: float, settings: dict[str, Any]) -> tuple[Real, Real, Real]:
    """Detect with the task as it stands; return x, y and S/N of the peaks."""
    from etendue.geom.box import Box
    from etendue.image.exposure import Exposure
    from etendue.image.image import Image
    from etendue.image.mask import Mask
    from etendue.image.noise import NoiseAutocorrelation
    from etendue.image.psf import GaussianMixturePsf
    from etendue.tasks.detect.detect import DetectConfig, DetectTask

    box = Box.from_shape(scene.image.shape)
    exposure = Exposure(
        image=Image(scene.image.astype(np.float32), box),
        mask=Mask.empty(box).with_plane("BAD", scene.bad),
        variance=Image(scene.variance.astype(np.float32), box),
        psf=GaussianMixturePsf.circular(sigma, 2 * int(np.ceil(oracle.TRUNCATION * sigma)) + 1),
        noise=None if scene.correlation is None else NoiseAutocorrelation(scene.correlation),
        unit="electron",
    )
    found = DetectTask(DetectConfig(threshold_snr=threshold, **settings)).run(exposure=exposure)
    return found.x, found.y, found.peak_snr


def completeness(images: int, size: int, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Compare the true S/N at which half of isolated sources are found by ours and by the oracle."""
    result = {}
    for sigma in SIGMAS:
        true, mine, best, false = [], [], [], [[], []]
        radius = max(2.0 * sigma, 1.6)
        for k in range(images):
            rng = np.random.default_rng([seed, round(100 * sigma), k])
            scene, x, y, snr = with_sources(noise_scene("white", rng, size), sigma, rng)
            field = oracle.significance(scene.image, scene.variance, scene.bad, oracle.centred_gaussian(sigma), None)
            sides = (ours(scene, sigma, THRESHOLD, settings)[:2], oracle.maxima(field, THRESHOLD)[:2])
            for kept, rates, (found_x, found_y) in zip((mine, best), false, sides, strict=True):
                matched = oracle.seen(x, y, found_x, found_y, radius)
                kept.append(matched)
                rates.append(max(found_x.size - int(matched.sum()), 0) / size**2 * np.pi * radius**2)
            true.append(snr)
        snr = np.concatenate(true)
        halves = [oracle.half_point(snr, np.concatenate(kept), float(np.mean(rate)))
                  for kept, rate in zip((mine, best), false, strict=True)]  # fmt: skip
        result[f"{sigma:g}"] = {
            "sources": snr.size, "ours_half_snr": halves[0].snr, "oracle_half_snr": halves[1].snr,
            "half_snr_err": halves[1].snr_err, "expected_half_snr": EXPECTED_HALF[sigma],
            "ours_minus_oracle_mag": 2.5 * np.log10(halves[0].snr / halves[1].snr),
            "ours_minus_expected_mag": 2.5 * np.log10(halves[0].snr / EXPECTED_HALF[sigma]),
            "widths": [half.width for half in halves],
        }  # fmt: skip
    return result


def false_peaks(images: int, size: int, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Count peaks of source-free noise, ours and the oracle's on the same pixels."""
    result: dict[str, Any] = {}
    for kind in ("white", "varying", "masked", "correlated"):
        for sigma in SIGMAS:
            counts = np.zeros((2, len(FALSE_THRESHOLDS)), int)
            for k in range(images):
                scene = noise_scene(kind, np.random.default_rng([seed, round(100 * sigma), 50 + k, len(kind)]), size)
                psf = oracle.centred_gaussian(sigma)
                field = oracle.significance(scene.image, scene.variance, scene.bad, psf, scene.correlation)
                values = (ours(scene, sigma, FALSE_THRESHOLDS[0], settings)[2],
                          oracle.maxima(field, FALSE_THRESHOLDS[0])[2])  # fmt: skip
                counts += [[int(np.sum(side >= t)) for t in FALSE_THRESHOLDS] for side in values]
            result[f"{kind} {sigma:g}"] = _count_table(counts, images * size**2)
    return result


def rare_peaks(size: int, settings: dict[str, Any], seed: int, most: int) -> dict[str, Any]:
    """Count white-noise peaks above 5 until the oracle has 900 of them, or ``most`` images were made."""
    sigma, counts, made = SIGMAS[-1], np.zeros((2, 1), int), 0
    while counts[1, 0] < LEAST_COUNTS and made < most:
        scene = noise_scene("white", np.random.default_rng([seed, 5, made]), size)
        psf = oracle.centred_gaussian(sigma)
        field = oracle.significance(scene.image, scene.variance, scene.bad, psf, None)
        counts[:, 0] += [ours(scene, sigma, THRESHOLD, settings)[2].size, oracle.maxima(field, THRESHOLD)[2].size]
        made += 1
    return {f"white {sigma:g} above 5": {"ours": int(counts[0, 0]), "oracle": int(counts[1, 0]),
            "ratio": float(counts[0, 0] / max(counts[1, 0], 1)), "megapixels": made * size**2 / 1e6}}  # fmt: skip


def _count_table(counts: NDArray[np.int64], pixels: int) -> dict[str, Any]:
    return {"megapixels": pixels / 1e6} | {
        f"{t:g}": {"ours": int(a), "oracle": int(b), "ratio": float(a / b) if b else None}
        for t, a, b in zip(FALSE_THRESHOLDS, counts[0], counts[1], strict=True)
    }


def _with_density(density: int, size: int, seed: int, folder: Path) -> survey_frame.Columns:
    """Render a frame of a density, save it, and return its truth."""
    survey_frame.SOURCES_PER_MEGAPIXEL = density
    frame = survey_frame.render(size, seed=seed)
    frame.save(folder)
    return frame.truth


def _our_detection(folder: Path, *, threshold: float, **_: Any) -> Callable[[], Any]:
    """Return the work of subtracting the sky and detecting, as the peers' sides do."""
    from etendue.tasks.background.background import SubtractBackgroundTask
    from etendue.tasks.detect.detect import DetectConfig, DetectTask

    def work() -> Any:
        exposure = SubtractBackgroundTask().run(exposure=frame_sides._our_exposure(frame_sides._read(folder))).exposure
        found = DetectTask(DetectConfig(threshold_snr=threshold)).run(exposure=exposure)
        return frame_sides._write(folder, "ours", {"x": found.x, "y": found.y})

    return work


def peers(size: int, seed: int) -> dict[str, Any]:
    """Compare completeness at an equal rate of false detections with sep, source-extractor and photutils."""
    sides: dict[str, Callable[..., Any]] = {
        "ours": _our_detection, "sep": frame_sides.sep_side,
        "source-extractor": frame_sides.source_extractor, "photutils": frame_sides.photutils_side,
    }  # fmt: skip
    result: dict[str, Any] = {}
    for name, density in DENSITIES.items():
        with tempfile.TemporaryDirectory(prefix="detection") as scratch:
            folder = Path(scratch)
            truth = _with_density(density, size, seed, folder)
            result[name] = {"sources_per_megapixel": density}
            for side, prepare in sides.items():
                try:
                    scan = [_scored(prepare, side, folder, truth, size, threshold) for threshold in PEER_SCAN]
                except (ImportError, FileNotFoundError) as error:
                    result[name][side] = {"skipped": str(error)}
                    continue
                result[name][side] = {
                    "completeness_at_equal_false_rate": frame_score.at_equal_false_rate(scan),
                    "scan": dict(zip(map(str, PEER_SCAN), scan, strict=True)),
                }
    return {"false_per_megapixel": frame_score.FALSE_PER_MEGAPIXEL, "size": size, "densities": result}


def _scored(prepare: Callable[..., Any], side: str, folder: Path, truth: Any, size: int, threshold: float) -> Any:
    prepare(folder, threshold=threshold, detect_only=True)()
    return frame_score.detection(truth, frame_sides.catalog(folder, side), float(size) ** 2)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Detection against an oracle on the same pixels, and peers.")
    parser.add_argument("--only", nargs="*", choices=("completeness", "false", "rare", "peers"))
    parser.add_argument("--images", type=int, default=4, help="images of each kind")
    parser.add_argument("--size", type=int, default=2048, help="side of the images [px]")
    parser.add_argument("--rare-images", type=int, default=100, help="most images for peaks above 5")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--set", nargs="*", default=[], help="NAME=VALUE of DetectConfig")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    wanted = options.only or ("completeness", "false", "rare", "peers")
    settings = {name: json.loads(value) for name, value in (item.split("=") for item in options.set)}
    parts = {
        "completeness": lambda: completeness(options.images, options.size, settings, options.seed),
        "false": lambda: false_peaks(options.images, options.size, settings, options.seed),
        "rare": lambda: rare_peaks(options.size, settings, options.seed, options.rare_images),
        "peers": lambda: peers(options.size // 2, options.seed),
    }
    path = options.out / f"detection-{datetime.now(UTC):%Y-%m-%d}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    facts = machine_facts()
    for name in wanted:
        before[name] = parts[name]() | {"seed": options.seed, "commit": facts["commit"]}
        print(name, json.dumps(rounded(before[name]), indent=1), flush=True)
        if not options.dry:
            path.write_text(json.dumps(rounded(before | {"machine": facts, "settings": settings}), indent=1) + "\n")


if __name__ == "__main__":
    main()
