"""What signature removal leaves, with products made of the frames of the simulated survey `calib`: noise and fluxes.

Usage: python benchmarks/isr_calibrated.py REPOSITORY --spec SURVEY.yaml [--seed 201] [--frames 100] [--out FILE]

The repository holds certified products of ``etendue run calib_full`` for detector 0. New frames of the same CCD are
made: pairs of even light without cosmic rays (is their difference as large as the variance planes say?), and stars
without noise, whose fluxes are compared with their light times what even light becomes at the same place.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts, rounded
from numpy.typing import NDArray

LEVELS = (300.0, 5_000.0, 60_000.0)  # blank sky, bright sky, near the full well [e]
SKY, FWHM, RADIUS, STARS = 400.0, 2.5, 10.0, 60
LOST = ("BAD", "SAT", "NO_DATA", "INTRP")
PEAKS = np.geomspace(150.0, 70_000.0, 9)
Plane = NDArray[np.float32]
Row = dict[str, Any]


class Bench:
    """One detector, new exposures of it, and its calibrations."""

    def __init__(self, repository: Path, spec: Path, seed: int):
        import yaml

        from etendue.camera.shipped import load_camera
        from etendue.middleware.repository import Repository
        from etendue.simulate.surveys.planned import planned
        from etendue.simulate.surveys.spec import SurveySpec
        from etendue.tasks.readout.calibrations import CALIBRATION_TYPES, Calibrations

        self.seed = seed
        self.camera = load_camera("simcam4")
        self.detector = self.camera.detector(0)
        self.ccd = planned(SurveySpec.parse(yaml.safe_load(spec.read_text()), str(spec)), seed).ccd(self.detector)
        home = Repository.open(repository)
        found: dict[str, Any] = {}
        for kind in CALIBRATION_TYPES:
            refs = home.query(kind, collections="simcam4/calib", find_first=False)
            mine = [ref for ref in refs if dict(ref.dataId.required).get("physical_filter", "r_sim") == "r_sim"]
            if mine:
                found[kind] = home.get(mine[0])
        self.calibrations = Calibrations(**found)

    def expose(self, light: Plane, number: int, *, noisy: bool) -> Any:
        """Return the calibrated exposure of some light."""
        from etendue.camera.observation_info import ObservationInfo
        from etendue.camera.raw import RawFrame
        from etendue.simulate.ccd.ccd import Ccd
        from etendue.tasks.isr.isr import IsrTask

        changes: dict[str, Any] = {"cosmic_rays": None}
        if not noisy:
            changes |= {"shot_noise": False, "read_noise": None}
        ccd = Ccd(self.detector, self.ccd.spec.model_copy(update=changes), self.seed)
        raw = ccd.expose(light, 30.0, np.random.default_rng(number), band="r").raw
        info = ObservationInfo(
            instrument="simcam4", detector_id=0, exposure_id=2026010100000 + number, day_obs=20260101, seq=number,
            observation_type="science", physical_filter="r_sim", band="r", exposure_time_s=30.0, mjd_tai_begin=61041.0,
            mjd_tai_end=61041.0 + 30.0 / 86400.0, file_name=f"{number}.fits",
        )  # fmt: skip
        frame = RawFrame(array=raw, header={}, detector_id=0, path=info.file_name, info=info)
        return IsrTask().run(raw=frame, camera=self.camera, calibrations=self.calibrations)


def score_noise(bench: Bench, frames: int) -> list[Row]:
    """Return the variance of differences of equal frames over what their variance planes say."""
    rows = []
    for level in LEVELS:
        light = np.full(bench.detector.bbox.shape, level, np.float32)
        ratios = []
        for pair in range(frames // 2):
            one, other = (bench.expose(light, 2 * pair + k + int(level), noisy=True) for k in (0, 1))
            good = ~(one.mask.any_of(LOST) | other.mask.any_of(LOST))
            difference = (one.image.array - other.image.array)[good].astype(float)
            ratios.append(float(np.mean(difference**2) / np.mean((one.variance.array + other.variance.array)[good])))
        mean, scatter = float(np.mean(ratios)), float(np.std(ratios))
        rows.append(
            {"quantity": "chi2 of pairs", "level_e": level, "pairs": len(ratios), "mean": mean, "scatter": scatter}
        )
    return rows


def score_fluxes(bench: Bench) -> list[Row]:
    """Return the fluxes of stars over their light, by peak, without noise."""
    ny, nx = bench.detector.bbox.shape
    y, x = np.mgrid[:ny, :nx].astype(np.float32)
    even = bench.expose(np.full((ny, nx), 20_000.0, np.float32), 1, noisy=False).image.array / 20_000.0
    rng, rows, sigma = np.random.default_rng(7), [], FWHM / 2.3548
    for number, peak in enumerate(PEAKS):
        places = rng.uniform(30, min(nx, ny) - 30, (STARS, 2))
        stars = np.zeros((ny, nx), np.float32)
        for py, px in places:
            box = np.s_[int(py) - 20 : int(py) + 21, int(px) - 20 : int(px) + 21]
            stars[box] += peak * np.exp(-0.5 * ((y[box] - py) ** 2 + (x[box] - px) ** 2) / sigma**2)
        with_stars, without = (
            bench.expose(light, 2 + number, noisy=False)
            for light in (stars + np.float32(SKY), np.full((ny, nx), SKY, np.float32))
        )
        off = []
        for py, px in places:
            box = np.s_[int(py) - 20 : int(py) + 21, int(px) - 20 : int(px) + 21]
            inside = (y[box] - py) ** 2 + (x[box] - px) ** 2 < RADIUS**2
            if (with_stars.mask.any_of(LOST)[box] & inside).any():
                continue
            found = (with_stars.image.array - without.image.array)[box][inside].sum()
            off.append(found / (stars * even)[box][inside].sum() - 1.0)
        mmag = -1085.7 * np.array(off)
        rows.append({"quantity": "flux", "peak_e": float(peak), "stars": len(off), "bias_mmag": float(np.median(mmag)),
                     "scatter_mmag": float(1.4826 * np.median(np.abs(mmag - np.median(mmag))))})  # fmt: skip
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=Path)
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=201)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    bench = Bench(options.repository, options.spec, options.seed)
    rows = score_noise(bench, options.frames) + score_fluxes(bench)
    for row in rows:
        print(rounded(row))
    if options.out:
        facts = {"what": "signature removal with products of calib_full", "date": f"{datetime.now(UTC):%Y-%m-%d}",
                 "seed": options.seed, "machine": machine_facts(), "rows": rows}  # fmt: skip
        options.out.write_text(json.dumps(rounded(facts), indent=1) + "\n")


if __name__ == "__main__":
    main()
