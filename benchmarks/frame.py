"""Detect, measure and resample one 4096 px survey frame: cost and accuracy of ours and of peers, in one run.

Usage: python benchmarks/frame.py [--only NAME ...] [--size 4096] [--repeat 5] [--quick] [--out benchmarks/results]

Comparisons of one day go into one file, so that they can be made one at a time.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import frame_score
import frame_sides
import numpy as np
import survey_frame
import warp_score
import warp_sides
from comparison import Comparison, Contender, compare, show
from machine import HERE, machine_facts, rounded
from rich.console import Console

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
ACCURACY_SIZE = 2048  # px; enough stars for percents, and seven catalogs per side in a minute
WARP_SEEDS = (81, 82, 83, 84, 85)  # never used to choose the kernel
THRESHOLDS = (4.0, 4.5, 5.0, 5.5, 6.0)
Scored = dict[str, dict[str, Any]]

_OURS = Contender(
    "etendue",
    frame_sides.ours,
    "sky in 128 px cells, matched filter with local sky, footprints, deblending; joint PSF fit of positions and fluxes "
    "with covariances, 10 apertures with the neighbours subtracted, adaptive moments, flags",
)
_OUR_WARP = Contender(
    "etendue", warp_sides.ours, "six-tap kernel, image, variance and mask, local area, noise autocorrelation"
)
COMPARISONS = (
    Comparison(
        "frame_measure",
        _OURS,
        (
            Contender(
                "source-extractor",
                frame_sides.source_extractor,
                "sky in 128 px cells, matched filter, deblending, windowed positions with errors, 10 apertures with "
                "errors, isophotal moments; no PSF fit, no neighbours, no cleaning",
            ),
            Contender(
                "sep", frame_sides.sep_side, "as source-extractor (its code as a library); no errors of positions"
            ),
        ),
        "no: ours also fits the PSF to all sources together; filter, threshold, apertures, input and output are equal",
    ),
    Comparison(
        "frame_psf_fit",
        _OURS,
        (
            Contender(
                "photutils",
                frame_sides.photutils_side,
                "sky in 128 px cells, matched filter, peaks; PSF fit of each source alone, with errors; 10 apertures",
                most=3,
            ),
        ),
        "nearly: both fit the PSF; ours jointly, and it measures shapes",
    ),
    Comparison(
        "frame_characterize",
        Contender(
            "etendue",
            frame_sides.whole_chain,
            "sky, stars, PSF model, cosmic rays, trails, sky again, detection, deblending, joint PSF fit, 10 apertures "
            "and all other measurements but fits of galaxies, aperture corrections",
            most=3,
        ),
        (),
        "no peer does all of it; LSST publishes 164 s for calibrateImage and 51 s for Piff on such a detector",
    ),
    Comparison(
        "frame_warp",
        _OUR_WARP,
        (
            Contender("swarp", warp_sides.swarp, "Lanczos-3 of image and weight, local area; WCS to 1e-3 px"),
            Contender(
                "reproject_interp",
                warp_sides.reproject_bicubic,
                "bicubic spline of image and variance; WCS at every pixel",
                most=3,
            ),
            Contender(
                "reproject_adaptive",
                warp_sides.reproject_conserving,
                "flux-conserving Gaussian kernel of image and variance; WCS at every pixel",
                most=3,
            ),
        ),
        "nearly: image and variance, FITS to FITS, on all sides; ours adds the mask and the noise correlation",
    ),
)
NAMES = (*(comparison.name for comparison in COMPARISONS), "accuracy", "warp_accuracy")
_MEASURING: dict[str, Callable[..., Any]] = {
    "ours": frame_sides.ours,
    "source-extractor": frame_sides.source_extractor,
    "sep": frame_sides.sep_side,
    "photutils": frame_sides.photutils_side,
}
_WARPING: dict[str, Callable[..., Any]] = {
    "ours": warp_sides.ours,
    "swarp": warp_sides.swarp,
    "reproject_interp": warp_sides.reproject_bicubic,
    "reproject_adaptive": warp_sides.reproject_conserving,
}


def _installed(sides: dict[str, Callable[..., Any]], folder: Path) -> dict[str, Callable[..., Any]]:
    """Return the sides that can run; say which cannot."""
    usable = {}
    for name, prepare in sides.items():
        try:
            prepare(folder)
        except (ImportError, FileNotFoundError) as error:
            print(f"{name}: skipped ({error})")
        else:
            usable[name] = prepare
    return usable


def score_catalogs(folder: Path, size: int) -> dict[str, Any]:
    """Score every side at the common threshold, and its completeness at an equal rate of false detections."""
    with np.load(folder / "truth.npz") as stored:
        truth = {name: stored[name] for name in stored.files if name != "sky"}
    result: dict[str, Any] = {}
    for name, prepare in _installed(_MEASURING, folder).items():
        prepare(folder)()
        found = frame_sides.catalog(folder, name)
        at_threshold = frame_score.detection(truth, found, float(size) ** 2)
        scan = []
        for threshold in THRESHOLDS:
            prepare(folder, threshold=threshold, detect_only=True)()
            scan.append(frame_score.detection(truth, frame_sides.catalog(folder, name), float(size) ** 2))
        result[name] = {
            "at_threshold_5": at_threshold,
            "completeness_at_equal_false_rate": frame_score.at_equal_false_rate(scan),
            "scan": dict(zip(map(str, THRESHOLDS), scan, strict=True)),
            "scatter": frame_score.scatter(truth, found),
        }
    return {"size": size, "false_per_megapixel_compared": frame_score.FALSE_PER_MEGAPIXEL, "sides": result}


def score_warps(folder: Path) -> dict[str, Any]:
    """Resample noise-free stars and noise with every side: means and scatter over the seeds."""
    warp_score.save_noise(folder, "warp", WARP_SEEDS[0])
    sides = _installed(_WARPING, folder)
    results = [warp_score.score(folder, sides, seed) for seed in WARP_SEEDS]
    return {"seeds": WARP_SEEDS, "values": "mean, standard deviation over the seeds"} | warp_score.mean_of(results)


def run(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Render the frame and yield what was asked for, one by one, so that what is done is kept."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    wanted = options.only or NAMES
    with tempfile.TemporaryDirectory(prefix="frame") as scratch:
        folder = Path(scratch)
        frame = survey_frame.render(options.size)
        frame.save(folder)
        warp_sides.save(folder, "warp", frame.image, np.maximum(frame.image, np.float32(1.0)))
        for comparison in COMPARISONS:
            if comparison.name in wanted:
                yield comparison.name, compare(comparison, folder, {}, options.repeat)
        if "accuracy" in wanted:
            size = min(options.size, ACCURACY_SIZE)
            survey_frame.render(size, seed=2).save(folder)
            yield "accuracy", score_catalogs(folder, size)
        if "warp_accuracy" in wanted:
            yield "warp_accuracy", score_warps(folder)


def write(results: Scored, options: argparse.Namespace, facts: dict[str, Any], path: Path) -> None:
    """Add the results to the file of the day."""
    before = json.loads(path.read_text())["comparisons"] if path.exists() else {}
    about = {"load_1min_at_start": facts.pop("load_1min_at_start"), "commit": facts.pop("commit")}
    made = {name: about | result for name, result in results.items()}
    text = {
        "what": f"one {options.size} px frame of {survey_frame.SOURCES_PER_MEGAPIXEL} sources per megapixel: "
        "CPU time and accuracy of ours and of peers",
        "date": path.stem[-10:],
        "options": {"size": options.size, "repeat": options.repeat},
        "machine": facts,
        "comparisons": before | made,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rounded(text), indent=1) + "\n")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Cost and accuracy on one survey frame, ours and the peers'.")
    parser.add_argument("--size", type=int, default=survey_frame.SIZE, help="side of the frame [px]")
    parser.add_argument("--repeat", type=int, default=5, help="how often each side runs; heavy ones three times")
    parser.add_argument("--only", nargs="*", choices=NAMES, help="some of them")
    parser.add_argument("--quick", action="store_true", help="small and once: does it run at all; writes no file")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    if options.quick:
        options.size, options.repeat = 512, 1
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    for name, result in run(options):
        if "compared" in result:
            show({name: result}, Console(width=100, file=sys.stdout))
        else:
            print(f"{name}:", json.dumps(rounded(result)), flush=True)
        if not options.quick:
            path = options.out / f"frame-{options.size}px-{datetime.now(UTC):%Y-%m-%d}.json"
            write({name: result}, options, machine_facts(), path)


if __name__ == "__main__":
    main()
