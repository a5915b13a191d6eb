"""Shutter patterns, spot scans and twilight slopes on one simulated detector of 1k x 1k, against truth.

Usage: python benchmarks/isr_flats.py [--seeds 411 412 413] [--out FILE]

Each seed is another CCD of `simcam4` with its own gains, bias and response. Flats of 0.1 to 10 s by a lamp that
flickers by 0.2% through an iris with blades; 100 spots of powers that a photodiode knows to 0.1%; 8 twilights whose
brightness changes by up to 6% over the detector, each another way.
"""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts, rounded
from numpy.typing import NDArray
from scipy.special import expit

LAMP, TIMES, FLICKER = 3000.0, (0.1, 0.2, 0.5, 1.0, 3.0, 10.0), 2e-3
SPOTS, SPOT_E, SPOT_PX, DIODE = 100, 20_000.0, 12.0, 1e-3
TWILIGHTS, TWILIGHT_E, SLOPE = 8, 30_000.0, 0.03
Plane = NDArray[np.float32]
Row = dict[str, Any]


class Bench:
    """A CCD, exposures of it, and its bias."""

    def __init__(self, seed: int):
        from etendue.camera.shipped import load_camera
        from etendue.simulate.ccd.ccd import Ccd
        from etendue.simulate.ccd.spec import CcdSpec
        from etendue.tasks.calib.bias import BuildBiasTask
        from etendue.tasks.readout.calibrations import Calibrations

        self.rng, self.seed = np.random.default_rng([seed, 9]), seed
        self.camera = load_camera("simcam4")
        self.detector = self.camera.detector(0)
        effects: dict[str, Any] = {name: {} for name in ("bias", "read_noise", "gain", "response")}
        self.ccd = Ccd(self.detector, CcdSpec.model_validate(effects), seed)
        self.y, self.x = np.mgrid[-1 : 1 : self.ccd.shape[0] * 1j, -1 : 1 : self.ccd.shape[1] * 1j]
        self.count = 0
        dark = np.zeros(self.ccd.shape, np.float32)
        biases = [self.frame(dark, 0.0, "bias") for _ in range(8)]
        self.known = Calibrations(bias=BuildBiasTask().run(biases, self.camera).exposure)

    def frame(self, light: Plane, seconds: float, kind: str, power: float = float("nan")) -> Any:
        """Return a raw frame."""
        from etendue.camera.observation_info import ObservationInfo
        from etendue.camera.raw import RawFrame

        self.count += 1
        raw = self.ccd.expose(light.astype(np.float32), seconds, np.random.default_rng([self.seed, self.count])).raw
        info = ObservationInfo(
            instrument="simcam4", detector_id=0, exposure_id=self.count, day_obs=20260101, seq=self.count,
            observation_type=kind, physical_filter="r_sim", band="r", exposure_time_s=seconds, lamp_monitor=power,
            mjd_tai_begin=61041.0, mjd_tai_end=61041.0, file_name=f"{self.count}.fits",
        )  # fmt: skip
        return RawFrame(array=raw, header={}, detector_id=0, path=info.file_name, info=info)


def score_shutter(bench: Bench) -> Row:
    """Return the rms of a pattern and of what is left of it [s]."""
    from etendue.tasks.calib.shutter import MeasureShutterTask

    angle = np.arctan2(bench.y, bench.x)
    radius = np.hypot(bench.x, bench.y)
    pattern = 0.02 * (1.0 - radius * (1.0 + 0.15 * np.cos(6.0 * angle)))  # six blades that close from the rim

    def flats() -> Iterator[Any]:
        for seconds in np.repeat(TIMES, 3):
            light = LAMP * (1.0 + FLICKER * bench.rng.standard_normal()) * (seconds + pattern)
            yield bench.frame(light, float(seconds), "flat")

    found = MeasureShutterTask().run(flats(), bench.camera, bench.known)
    left = found.image.array - pattern
    return {
        "pattern_rms_ms": 1e3 * float(np.std(pattern)), "left_rms_ms": 1e3 * float(np.std(left)),
        "mean_ms": 1e3 * float(np.mean(pattern)), "mean_left_ms": 1e3 * float(np.mean(left)),
        "mean_err_ms": 1e3 * found.metadata["mean_err_s"], "chi2": found.metadata["chi2"],
    }  # fmt: skip


def score_spots(bench: Bench) -> Row:
    """Return the rms of what a flat lacks, and of what is left of it."""
    from dataclasses import replace

    from etendue.image.exposure import Exposure
    from etendue.image.image import Image
    from etendue.image.mask import Mask
    from etendue.tasks.calib.spot_scan import BuildSpotScanTask, SpotImage
    from etendue.tasks.isr.isr import IsrTask

    box = bench.detector.bbox
    lack = 1.0 + 0.02 * bench.x - 0.015 * bench.y + 0.03 * bench.x**2 - 0.02 * bench.x * bench.y**2
    lack /= np.median(lack)
    response = np.ones(bench.ccd.shape, np.float32) if bench.ccd.response is None else bench.ccd.response
    plane = Image(response.copy(), box)
    flat = Exposure(image=plane, mask=Mask.empty(box), variance=plane, unit="", physical_filter="r_sim",
                    metadata={"counted_in": "electron"})  # fmt: skip
    gains = _true_ptc(bench)
    known = replace(bench.known, flat=flat, ptc=gains)
    rows, columns = np.ogrid[: box.y.size, : box.x.size]
    places = np.linspace(60.0, box.x.size - 61.0, round(SPOTS**0.5))

    def images() -> Iterator[SpotImage]:
        for x, y in ((a, b) for a in places for b in places):
            a, b = (p + bench.rng.uniform(-20.0, 20.0) for p in (x, y))
            power = bench.rng.uniform(0.5, 1.5)
            disc = expit((SPOT_PX - np.hypot(columns - a, rows - b)) / 1.5)
            raw = bench.frame(lack * (SPOT_E * power * disc + 30.0), 5.0, "test")
            said = power * (1.0 + DIODE * bench.rng.standard_normal())
            yield SpotImage(IsrTask().run(raw=raw, camera=bench.camera, calibrations=known), said, raw.path)

    found = BuildSpotScanTask().run(images(), box)
    return {"lack_rms": float(np.std(lack)), "left_rms": float(np.std(found.image.array / lack)),
            "spots": found.metadata["spots"], "residual_mag": found.metadata["rms_mag"]}  # fmt: skip


def _true_ptc(bench: Bench) -> Any:
    from etendue.image.ptc import AmplifierGain, Ptc

    pairs = zip(bench.detector.amplifiers, bench.ccd.gains, bench.ccd.read_noise, strict=True)
    return Ptc(tuple(AmplifierGain(a.name, float(g), 0.001, float(n), 0.01, float(g), True) for a, g, n in pairs))


def score_twilights(bench: Bench) -> Row:
    """Return the noise of a flat over that of photons, and its slope over the mean one, levelled and not."""
    from etendue.tasks.calib.flat import BuildFlatConfig, BuildFlatTask

    slopes = SLOPE * bench.rng.uniform(-1.0, 1.0, (TWILIGHTS, 2))
    lights = [TWILIGHT_E * (1.0 + a * bench.x + b * bench.y) for a, b in slopes]
    raws = [bench.frame(light, 10.0, "flat") for light in lights]
    truth = np.mean(lights, axis=0) / TWILIGHT_E
    if bench.ccd.response is not None:
        truth = truth * bench.ccd.response
    row: Row = {}
    for name, gradient in (("levelled", 1e-3), ("plain", 9.0)):
        flat = BuildFlatTask(BuildFlatConfig(gradient=gradient)).run(raws, bench.camera, bench.known).exposure
        ratio = flat.image.array / truth
        noise, slope = [], []
        for amplifier in bench.detector.amplifiers:  # flats of counts hold gains
            where = amplifier.bbox.slices_in(bench.detector.bbox)
            part = ratio[where] / np.median(ratio[where])
            y, x = bench.y[where].ravel(), bench.x[where].ravel()
            fit = np.linalg.lstsq(np.stack([np.ones_like(x), x, y], axis=1), part.ravel(), rcond=None)[0]
            noise.append(float(np.std(part)) * (TWILIGHTS * TWILIGHT_E) ** 0.5)
            slope.append(float(np.abs(fit[1:]).max()))
        row |= {f"{name}_noise": float(np.mean(noise)), f"{name}_slope": max(slope)}
    return row


def main() -> None:
    """Score the seeds and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[411, 412, 413])
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        bench = Bench(seed)
        rows.append({"seed": seed, "shutter": score_shutter(bench), "spots": score_spots(bench),
                     "twilights": score_twilights(bench)})  # fmt: skip
        print(json.dumps(rounded(rows[-1])))
    result = {"machine": machine_facts(), "seeds": args.seeds, "rows": rows}
    day = datetime.now(UTC).date().isoformat()
    out = args.out or Path(__file__).parent / "results" / f"isr-flats-{day}.json"
    out.write_text(json.dumps(rounded(result), indent=1) + "\n")


if __name__ == "__main__":
    main()
