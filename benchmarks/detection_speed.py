"""Cost of background and detection on one 4096 px frame of 20,000 sources: ours and sep's, on the same pixels.

Usage: python benchmarks/detection_speed.py [--size 4096] [--repeat 7] [--out benchmarks/results]
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import survey_frame
from comparison import Comparison, Contender, compare, show
from machine import HERE, machine_facts, rounded
from rich.console import Console
from side import Work

THRESHOLD, CELL, FILTER = 5.0, 128, 11  # sigma; px; side of the filter [px], that of ours
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def ours(folder: Path, **_: Any) -> Work:
    from frame_sides import _our_exposure

    from etendue.tasks.background.background import SubtractBackgroundConfig, SubtractBackgroundTask
    from etendue.tasks.detect.detect import DetectConfig, DetectTask

    exposure = _our_exposure(np.load(folder / "image.npy"))
    background = SubtractBackgroundTask(SubtractBackgroundConfig(cell_size=CELL))
    detect = DetectTask(DetectConfig(threshold_snr=THRESHOLD))

    def work() -> dict[str, Any]:
        found = detect.run(exposure=background.run(exposure=exposure).exposure)
        return {"n": int(found.x.size), "footprints": len(found.footprints)}

    return work


def sep_side(folder: Path, **_: Any) -> Work:
    return _sep(folder, FILTER, "matched")


def sep_convolution(folder: Path, **_: Any) -> Work:
    return _sep(folder, 7, "conv")


def _sep(folder: Path, side: int, kind: str) -> Work:
    """Return sep's work; its threshold for a plain convolution counts the noise of pixels."""
    import sep

    image = np.load(folder / "image.npy")
    kernel = survey_frame.true_psf(41)[20 - side // 2 : 21 + side // 2, 20 - side // 2 : 21 + side // 2]
    kernel = np.ascontiguousarray(kernel / kernel.sum())
    threshold = THRESHOLD * (float(np.sqrt(np.sum(kernel**2))) if kind == "conv" else 1.0)
    sep.set_extract_pixstack(max(1_000_000, image.size // 4))

    def work() -> dict[str, Any]:
        sky = sep.Background(image, bw=CELL, bh=CELL)
        found = sep.extract(
            image - sky.back(), threshold, err=sky.globalrms if kind == "conv" else sky.rms(), minarea=1,
            filter_kernel=kernel, filter_type=kind, clean=False, deblend_cont=1.0,
        )  # fmt: skip
        return {"n": len(found)}

    return work


COMPARISON = Comparison(
    "background_and_detection",
    Contender(
        "etendue", ours,
        "sky in 128 px cells without light (three passes), local sky, matched filter, peaks, footprints, mask planes",
    ),
    (
        Contender("sep, matched", sep_side, "sky in 128 px cells, equal filter, moments, no deblending"),
        Contender("sep, convolution", sep_convolution, "the same with a convolution of 7 px: its fastest"),
    ),
    "nearly: equal filter size and threshold; sep measures moments, ours finds every peak of a footprint",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Cost of background and detection, ours and sep's.")
    parser.add_argument("--size", type=int, default=survey_frame.SIZE, help="side of the frame [px]")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    facts = machine_facts()
    with tempfile.TemporaryDirectory(prefix="detection") as scratch:
        folder = Path(scratch)
        frame = survey_frame.render(options.size, seed=options.seed)
        np.save(folder / "image.npy", frame.image)
        result = compare(COMPARISON, folder, {}, options.repeat)
    result["sources"] = int(frame.truth["x"].size)
    show({COMPARISON.name: result}, Console(width=100, file=sys.stdout))
    if not options.dry:
        text = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "size": options.size, "seed": options.seed,
                "machine": facts, "comparison": result}  # fmt: skip
        path = options.out / f"detection-speed-{text['date']}.json"
        path.write_text(json.dumps(rounded(text), indent=1) + "\n")


if __name__ == "__main__":
    main()
