"""Compare the cosmic rays of single lowell42 frames with what a stack of the others lacks, astroscrappy beside.

Usage: python benchmarks/isr_cosmic_rays_lowell42.py [--frames 6] [--data FOLDER] [--out benchmarks/results]
"""

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import astroscrappy
import numpy as np
from campaign import NIGHT, write_json
from machine import machine_facts, rounded
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, maximum_filter, shift

from etendue.camera.raw import read_raw
from etendue.camera.shipped import load_camera
from etendue.image.exposure import Exposure
from etendue.tasks.calib.bias import BuildBiasTask
from etendue.tasks.calib.flat import BuildFlatTask
from etendue.tasks.characterize.characterize import CharacterizeConfig, CharacterizeTask
from etendue.tasks.cosmicray.cosmicray import CosmicRayTask
from etendue.tasks.isr.isr import IsrTask
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.streak.streak import FindStreaksTask

BINS = ((5.0, 10.0), (10.0, 20.0), (20.0, np.inf))
EDGE, READ_NOISE = 60, 4.2
Plane = NDArray[Any]


def reduced(folder: Path, frames: int) -> list[Exposure]:
    """Return science frames with sky and PSF, cosmic rays still in."""
    camera = load_camera("lowell42")
    bias = BuildBiasTask().run([read_raw(p, camera) for p in sorted((folder / "bias").iterdir())[:7]], camera).exposure
    flats = [read_raw(path, camera) for path in sorted((folder / "flat").iterdir())]
    same = [flat for flat in flats if flat.info.physical_filter == "VR"]
    known = Calibrations(bias=bias, flat=BuildFlatTask().run(same, camera, Calibrations(bias=bias)).exposure)
    task = CharacterizeTask(CharacterizeConfig(find_cosmic_rays=False))
    paths = sorted((folder / "raw").iterdir())[:frames]
    return [
        task.run(exposure=IsrTask().run(raw=read_raw(p, camera), camera=camera, calibrations=known)).exposure
        for p in paths
    ]


def displacement(one: Plane, other: Plane) -> tuple[float, float]:
    """Return how far one frame is shifted against another, by the peak of their correlation [px]."""
    correlation = np.fft.irfft2(np.fft.rfft2(one) * np.conj(np.fft.rfft2(other)), one.shape)
    place = np.unravel_index(int(correlation.argmax()), correlation.shape)
    found = []
    for axis in (0, 1):
        below, here, above = (correlation[tuple(np.add(place, [k * (axis == 0), k * (axis == 1)]) % one.shape)]
                              for k in (-1, 0, 1))  # fmt: skip
        value = place[axis] + 0.5 * (below - above) / (below - 2.0 * here + above)
        found.append(float(value - one.shape[axis] if value > 0.5 * one.shape[axis] else value))
    return found[0], found[1]


def clipped(exposure: Exposure) -> Plane:
    sigma = float(np.nanmedian(np.sqrt(exposure.variance.array)))
    return np.clip(np.nan_to_num(exposure.image.array), -3.0 * sigma, 50.0 * sigma)


def frame_score(exposures: list[Exposure], number: int) -> dict[str, Any]:
    """Count flagged pixels that the others' median has, too, and pixels above it that are flagged, away from stars."""
    exposure, here = exposures[number], clipped(exposures[number])
    others = [shift(np.nan_to_num(e.image.array), displacement(here, clipped(e)), order=3)
              for k, e in enumerate(exposures) if k != number]  # fmt: skip
    stack, sigma = np.median(others, axis=0), np.sqrt(exposure.variance.array)
    image = np.nan_to_num(exposure.image.array)
    usable = ~exposure.mask.any_of(("SAT", "BAD", "NO_DATA", "VIGNETTED"))
    usable &= ~binary_dilation(exposure.mask.any_of("SAT"), iterations=10)
    usable[:EDGE] = usable[-EDGE:] = usable[:, :EDGE] = usable[:, -EDGE:] = False
    excess, empty = (image - stack) / sigma, maximum_filter(stack / sigma, 5) < 5.0
    begin = time.process_time()
    flags = {"etendue": CosmicRayTask().run(exposure=exposure).mask.any_of("CR")}
    seconds = {"etendue": time.process_time() - begin}
    assert exposure.background is not None
    counts = (image + exposure.background.image().array).astype(np.float32)
    begin = time.process_time()
    flags["astroscrappy"] = astroscrappy.detect_cosmics(
        counts, inmask=exposure.mask.any_of("SAT"), gain=1.0, readnoise=READ_NOISE, satlevel=1e9
    )[0]
    seconds["astroscrappy"] = time.process_time() - begin
    rows: dict[str, Any] = {"streaks": len(FindStreaksTask().run(exposure=exposure).streaks)}
    for name, found in flags.items():
        mine = np.asarray(found) & usable
        struck = [usable & empty & (excess >= low) & (excess < high) for low, high in BINS]
        rows[name] = {
            "flagged": int(mine.sum()), "not_above_stack_by_3_sigma": int((mine & (excess < 3.0)).sum()),
            "on_stars": int((mine & ~empty).sum()), "cpu_s": seconds[name],
            "struck": [int(part.sum()) for part in struck], "found": [int((part & mine).sum()) for part in struck],
        }  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--data", type=Path, default=NIGHT)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    exposures, date = reduced(options.data, options.frames), f"{datetime.now(tz=UTC):%Y-%m-%d}"
    rows = [frame_score(exposures, number) for number in range(len(exposures))]
    result: dict[str, Any] = {
        "what": "lowell42 single frames against the median of the others", "date": date,
        "machine": machine_facts(), "excess_bins": [low for low, _ in BINS], "frames": rows,
    }  # fmt: skip
    for name in ("etendue", "astroscrappy"):
        struck, found = (np.sum([row[name][key] for row in rows], axis=0) for key in ("struck", "found"))
        result[name] = {key: sum(row[name][key] for row in rows)
                        for key in ("flagged", "not_above_stack_by_3_sigma", "on_stars", "cpu_s")}  # fmt: skip
        result[name] |= {"struck": struck.tolist(), "completeness": (found / struck).tolist()}
        print(name, rounded(result[name]))
    write_json(rounded(result), options.out / f"isr-cosmic-rays-lowell42-{date}.json")


if __name__ == "__main__":
    main()
