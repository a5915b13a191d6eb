"""Overscan, crosstalk, deferred charge and steps between amplifiers: measured and corrected, against the truth.

Usage: python benchmarks/isr_electronics.py [--survey SURVEY] [--seeds 311 312 313] [--parts ...] [--out FILE]

SURVEY comes from `etendue simulate calib`; its detector 0 is scored like the fresh CCDs of the seeds, which are made
with the effects of `calib`. A part that is not run keeps what FILE holds of it. `lowell` needs --lowell FOLDER.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from isr_electronics_speed import speed
from machine import machine_facts, rounded
from numpy.typing import NDArray

Array = NDArray[Any]
Rows = list[dict[str, Any]]
BRIGHTEST_E = 73_000.0  # brighter flats would be left out of charge transfer
EVEN = {"amplifier_rms_adu": 0.0, "row_ramp_adu": 0.0, "column_ramp_adu": 0.0, "column_rms_adu": 0.0,
        "pixel_rms_adu": 0.0, "drift_adu": 0.0, "jitter_adu": 0.0, "row_drift_adu": 0.0}  # fmt: skip


class Chip:
    """Frames of one CCD and what is true of it: of a survey on the disk, or made now."""

    def __init__(self, seed: int, survey: Path | None = None, flats: int = 2):
        from etendue.camera.shipped import load_camera
        from etendue.simulate.ccd.ccd import Ccd
        from etendue.simulate.surveys.presets import load_survey

        self.spec = load_survey("calib")
        self.seed, self.survey, self.camera = seed, survey, load_camera("simcam4")
        self.detector = self.camera.detector(0)
        self.ccd = Ccd(self.detector, self.spec.ccd, seed)
        self.count, self.flats = 0, flats

    def frames(self, kind: str) -> Iterator[Any]:
        """Yield raw frames: ``bias``, ``dark``, ``spot``, or ``flat`` (pairs of many levels in r)."""
        yield from self._stored(kind) if self.survey else self._made(kind)

    def _stored(self, kind: str) -> Iterator[Any]:
        from etendue.camera.raw import read_raw
        from etendue.simulate.surveys.truth_tables import read_survey_truth

        plan = read_survey_truth(self.survey / "truth")["calibrations"]
        chosen = (plan["day_obs"] == plan["day_obs"][0]) & (plan["kind"] == kind)
        chosen &= (plan["band"] == "r") | (kind != "flat")
        for exposure in plan["exposure"][chosen]:
            yield read_raw(self.survey / kind / f"simcam4_{exposure}_000.fits.fz", self.camera)

    def _made(self, kind: str) -> Iterator[Any]:
        calib = self.spec.calibrations
        if kind == "bias":
            lights = [(0.0, 0.0, None)] * calib.bias
        elif kind == "dark":
            lights = [(0.0, seconds, None) for seconds in calib.dark_s for _ in range(calib.dark)]
        elif kind == "spot":
            levels = [level for level in calib.spots.electrons for _ in range(calib.spots.repeats)]
            lights = [(level, 1.0, amplifier) for amplifier in range(4) for level in levels]
        else:
            usable = [level for level in calib.flat_pairs if level < BRIGHTEST_E]
            lights = [(level, level / calib.lamp_e_s, None) for level in usable for _ in range(self.flats)]
        for level, seconds, amplifier in lights:
            yield self.expose(self._light(level, amplifier), seconds, {"spot": "test"}.get(kind, kind))

    def _light(self, level: float, amplifier: int | None) -> Array:
        if amplifier is None:
            return np.full(self.ccd.shape, level, np.float32)
        light = np.zeros(self.ccd.shape, np.float32)
        y, x = np.mgrid[:512, :512] - 255.5
        radius_px = self.spec.calibrations.spots.radius_px
        self.ccd.orders[amplifier].view(light, self.detector)[np.hypot(x, y) < radius_px] = level
        return light

    def expose(self, light: Array, seconds: float, kind: str, ccd: Any = None) -> Any:
        from etendue.camera.observation_info import ObservationInfo
        from etendue.camera.raw import RawFrame

        self.count += 1
        rng = np.random.default_rng([self.seed, self.count])
        raw = (ccd or self.ccd).expose(light, seconds, rng, hours=0.02 * self.count).raw
        info = ObservationInfo(
            instrument="simcam4", detector_id=0, exposure_id=self.count, day_obs=20250101, seq=self.count,
            observation_type=kind, physical_filter="r_sim", band="r", exposure_time_s=seconds,
            mjd_tai_begin=60000.0, mjd_tai_end=60000.0,
        )  # fmt: skip
        return RawFrame(array=raw, header={}, detector_id=0, path=f"{self.count}.fits", info=info)

    def bias(self) -> Any:
        from etendue.tasks.calib.bias import BuildBiasTask

        return BuildBiasTask().run(list(self.frames("bias")), self.camera).exposure


def worst(found: Array, true: Array, error: Array) -> dict[str, Any]:
    """Return deviations: relative, absolute, in errors."""
    off, pull = found - true, (found - true) / error
    ratio = off / true
    return {
        "n": int(off.size),
        "mean_relative": float(np.mean(ratio)),
        "rms_relative": rms(ratio),
        "worst_relative": float(np.abs(ratio).max()),
        "worst_absolute": float(np.abs(off).max()),
        "pull_rms": rms(pull),
    }


def rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def overscan(chip: Chip) -> dict[str, Any]:
    """Error of the rows' level [ADU] by method, on biases of three kinds of drift."""
    from etendue.camera.segments import Segments
    from etendue.simulate.ccd.ccd import Ccd
    from etendue.simulate.ccd.spec import CcdSpec
    from etendue.tasks.readout.overscan import SubtractOverscanConfig, SubtractOverscanTask

    cases = {"calib": {}, "no drift along rows": {"row_drift_adu": 0.0}, "drift of 1 ADU": {"row_drift_adu": 1.0},
             "steep start": {"row_ramp_adu": -300.0, "row_ramp_px": 4.0}}  # fmt: skip
    out: dict[str, Any] = {}
    for name, bias in cases.items():
        ccd = Ccd(chip.detector, CcdSpec(bias=bias, read_noise={}), chip.seed)
        signals = ccd.collect(np.zeros(ccd.shape, np.float32), 0.0, np.random.default_rng(chip.seed))
        raw = ccd.read_out(signals).raw
        for method in ("spline", "running_median", "line", "mean", "median"):
            segments = Segments.of(raw, chip.detector)
            before = segments.array.copy()
            SubtractOverscanTask(SubtractOverscanConfig(method=method)).run(segments)
            errors = []
            for number, order in enumerate(segments.orders):
                rows, columns = order.data
                true = ccd.bias.rows(number, segments.array.shape[1], 0.0, signals.streams)[rows]
                level = (before - segments.array)[number, rows, columns.start] - true
                errors.append(np.std(level))
            out.setdefault(name, {})[method] = float(np.mean(errors))
    return out


def crosstalk(chip: Chip) -> dict[str, Any]:
    """Coefficients from spots, and what is left of spots after correction."""
    from etendue.camera.segments import Segments
    from etendue.tasks.calib.calm_level import calm_level
    from etendue.tasks.calib.crosstalk import MeasureCrosstalkTask
    from etendue.tasks.readout.crosstalk import CorrectCrosstalkTask
    from etendue.tasks.readout.overscan import SubtractOverscanTask

    bias, spots = chip.bias(), list(chip.frames("spot"))
    found = MeasureCrosstalkTask().run(spots, chip.camera, bias)
    linear, quadratic = chip.ccd.crosstalk
    off = ~np.eye(4, dtype=bool)

    def inside(value: Array, true: Array) -> int:
        return int((np.abs(value - true) < np.maximum(0.05 * np.abs(true), 1e-6))[off].sum())

    ghosts = []
    for raw in spots[len(spots) // 4 - 1 :: len(spots) // 4]:  # the brightest of each amplifier
        segments = Segments.of(raw.array, chip.detector)
        SubtractOverscanTask().run(segments)
        for number, order in enumerate(segments.orders):
            segments.data(number)[...] -= order.view(bias.image.array, chip.detector)
        before = np.stack([segments.data(k) for k in range(4)])
        lit = int(np.argmax([plane.max() * (np.median(plane[200:312, 200:312]) > 1e4) for plane in before]))
        spot = before[lit] > 0.5 * np.median(before[lit][220:292, 220:292])
        CorrectCrosstalkTask().run(segments, found)
        for k in set(range(4)) - {lit}:
            left = [np.mean((p - calm_level(p, ~spot)[0])[spot]) for p in (before[k], segments.data(k))]
            ghosts.append(left)
    high = linear + quadratic * 4e4
    found_high = found.own.linear + found.own.quadratic * 4e4
    return {
        "linear": worst(found.own.linear[off], linear[off], found.own.linear_err[off]),
        "inside_5_percent_or_1e-6": inside(found.own.linear, linear),
        "quadratic": worst(found.own.quadratic[off], quadratic[off], found.own.quadratic_err[off]),
        "quadratic_times_40000_adu_inside_5_percent_or_1e-6": inside(found.own.quadratic * 4e4, quadratic * 4e4),
        "at_40000_adu": worst(found_high[off], high[off], found.own.linear_err[off]),
        "ghost_rms_adu": {"before": rms(np.array(ghosts)[:, 0]), "after": rms(np.array(ghosts)[:, 1])},
    }


def charge_transfer(chip: Chip) -> dict[str, Any]:
    """Losses from flats, and the bias of stars before and after correction."""
    from etendue.tasks.calib.charge_transfer import MeasureChargeTransferTask

    def raws() -> Iterator[Any]:
        for kind in ("flat", "bias", "dark"):
            yield from chip.frames(kind)

    found = MeasureChargeTransferTask().run(raws(), chip.camera)
    out: dict[str, Any] = {}
    for name, true in zip(("parallel", "serial"), chip.ccd.inefficiencies, strict=True):
        losses = [getattr(amplifier, name) for amplifier in found.amplifiers]
        value, error = (
            np.array([getattr(loss, part) for loss in losses]) for part in ("inefficiency", "inefficiency_err")
        )
        out[name] = worst(value, true, error)
        out[name]["release_px"] = [loss.release_px for loss in losses]
        out[name]["trap_electrons"] = [loss.trap_electrons for loss in losses]
        out[name]["trap_electrons_err"] = [
            None if loss.trap_electrons == 0.0 else loss.trap_electrons_err for loss in losses
        ]
        out[name]["chi2"] = [loss.chi2 for loss in losses]
    if chip.survey is None and chip.flats > 1:
        out["stars"] = stars(chip, found)
    return out | {"flats_per_level": chip.flats}


def stars(chip: Chip, found: Any, sky: float = 300.0) -> Rows:
    """Flux and place of stars with deferred charge and after its correction, less those of equal frames without."""
    from etendue.camera.segments import Segments
    from etendue.simulate.ccd.ccd import Ccd
    from etendue.tasks.readout.charge_transfer import CorrectChargeTransferTask
    from etendue.tasks.readout.overscan import SubtractOverscanTask

    effects = {"shot_noise": False, "bias": EVEN, "crosstalk": None, "linearity": None, "cosmic_rays": None,
               "brighter_fatter": None, "defects": None}  # fmt: skip
    spec = chip.spec.ccd.model_validate(chip.spec.ccd.model_dump() | effects)
    lossy = Ccd(chip.detector, spec, chip.seed)
    clean = Ccd(chip.detector, spec.model_copy(update={"serial_transfer": None, "parallel_transfer": None}), chip.seed)
    rng, places = np.random.default_rng(chip.seed), [(x, y) for x in range(20, 1010, 30) for y in range(20, 1010, 30)]
    rows = []
    for flux in (1e3, 1e4, 1e5, 6e5):
        light, centres = field(places, flux, sky, rng)
        images = []
        for ccd, correct in ((clean, False), (lossy, False), (lossy, True)):
            segments = Segments.of(ccd.expose(light, 0.0, np.random.default_rng(5)).raw, chip.detector)
            SubtractOverscanTask().run(segments)
            segments.array[...] *= ccd.gains.astype(np.float32)[:, None, None]
            if correct:
                CorrectChargeTransferTask().run(segments, found)
            images.append(segments.assemble())
        true, lost, back = (moments(image, centres, sky) for image in images)
        row: dict[str, Any] = {"flux_e": flux, "sky_e": sky, "n": len(centres)}
        for name, seen in (("before", lost), ("after", back)):
            off = inwards(chip, centres, seen - true)
            row[name] = {
                "flux_mmag": float(-1085.7 * np.mean(off[:, 0]) / flux),
                "serial_mpx": float(1e3 * np.mean(off[:, 1])),
                "parallel_mpx": float(1e3 * np.mean(off[:, 2])),
                "error_mpx": float(1e3 * np.std(off[:, 1]) / len(centres) ** 0.5),
            }
        rows.append(row)
    return rows


def field(places: Sequence[tuple[int, int]], flux: float, sky: float, rng: np.random.Generator) -> tuple[Array, Array]:
    light, centres = np.full((1024, 1024), sky, np.float32), np.array(places) + rng.uniform(-0.5, 0.5, (len(places), 2))
    for (x0, y0), (x, y) in zip(places, centres, strict=True):
        yy, xx = np.mgrid[y0 - 10 : y0 + 11, x0 - 10 : x0 + 11]
        light[y0 - 10 : y0 + 11, x0 - 10 : x0 + 11] += (
            flux / (2 * np.pi * 1.3**2) * np.exp(-0.5 * ((xx - x) ** 2 + (yy - y) ** 2) / 1.3**2)
        )
    return light, centres


def moments(image: Array, centres: Array, sky: float) -> Array:
    """Return flux and centroid of stars in circles of 6 px with a Gaussian weight for the place."""
    y, x = np.mgrid[-8:9, -8:9]
    out = np.empty((len(centres), 3))
    for k, (cx, cy) in enumerate(np.rint(centres).astype(int)):
        stamp = image[cy - 8 : cy + 9, cx - 8 : cx + 9].astype(float) - sky
        stamp -= np.median(stamp[np.hypot(x, y) > 7.5])
        weight = np.exp(-0.5 * (x**2 + y**2) / 2.0**2)
        out[k] = (
            np.sum(stamp * (np.hypot(x, y) < 6.0)),
            *(2.0 * np.sum(stamp * weight * v) / np.sum(stamp * weight) for v in (x, y)),
        )
    return out


def inwards(chip: Chip, centres: Array, off: Array) -> Array:
    """Turn shifts so that both are counted away from the amplifier, along the register and along the columns."""
    turned = off.copy()
    for amplifier, order in zip(chip.detector.amplifiers, chip.ccd.orders, strict=True):
        x, y = centres.T
        box = amplifier.bbox
        mine = (box.x.start <= x) & (x < box.x.stop) & (box.y.start <= y) & (y < box.y.stop)
        turned[mine, 1] *= 1.0 if order.left != amplifier.flip_x else -1.0
        turned[mine, 2] *= 1.0 if order.bottom != amplifier.flip_y else -1.0
    return turned


def amp_offsets(chip: Chip) -> dict[str, Any]:
    """Steps of a few electrons on a sky with stars and a gradient."""
    from etendue.tasks.isr.amp_offset import LevelAmplifiersTask

    off, pulls, false = [], [], 0
    for k in range(20):
        rng = np.random.default_rng([chip.seed, k])
        y, x = np.mgrid[:1024, :1024]
        image = 225.0 + 40.0 * (x + 2.0 * y) / 1024.0 + rng.normal(0.0, 15.0, (1024, 1024))
        light, _ = field([(int(a), int(b)) for a, b in rng.integers(12, 1012, (300, 2))], 3e3, 0.0, rng)
        image = (image + light).astype(np.float32)
        bad, true = np.zeros(image.shape, bool), rng.normal(0.0, 3.0, 4)
        false += LevelAmplifiersTask().run(image, bad, chip.detector).subtracted
        for amplifier, offset in zip(chip.detector.amplifiers, true, strict=True):
            image[amplifier.bbox.slices_in(chip.detector.bbox)] += offset
        found = LevelAmplifiersTask().run(image, bad, chip.detector)
        off.append(found.offsets - (true - true.mean()))
        pulls.append(off[-1] / found.errors)
    return {"images": 20, "sky_e": 225.0, "noise_e": 15.0, "step_rms_e": 3.0, "left_rms_e": float(np.std(off)),
            "pull_rms": float(np.sqrt(np.mean(np.square(pulls)))), "levelled_without_steps": int(false)}  # fmt: skip


def lowell(folder: Path) -> dict[str, Any]:
    """Levels through a real night, what methods leave of its rows, and deferred charge in its flats."""
    from etendue.camera.raw import read_raw
    from etendue.camera.segments import Segments
    from etendue.camera.shipped import load_camera
    from etendue.tasks.calib.charge_transfer import MeasureChargeTransferTask
    from etendue.tasks.readout.overscan import SubtractOverscanConfig, SubtractOverscanTask

    camera = load_camera("lowell42")
    kinds = {
        kind: [read_raw(p, camera) for p in sorted((folder / kind).glob("*.fits.fz"))]
        for kind in ("bias", "flat", "raw")
    }
    out: dict[str, Any] = {"levels_above_1600_adu": {}, "rows_left_adu": {}}
    for kind, raws in kinds.items():
        levels = [SubtractOverscanTask().run(Segments.of(raw.array, camera.detector(0)))[0] for raw in raws]
        known = [v.level - 1600.0 for v in levels]
        out["levels_above_1600_adu"][kind] = [min(known), max(known)]
        out["noise_adu"] = float(np.median([v.noise for v in levels]))
    for method in ("spline", "running_median", "line", "mean"):
        rows = []
        for raw in kinds["bias"]:
            segments = Segments.of(raw.array, camera.detector(0))
            SubtractOverscanTask(SubtractOverscanConfig(method=method)).run(segments)
            rows.append(segments.data(0)[30:].mean(axis=1, dtype=float))
        left = np.array(rows) - np.mean(rows, axis=0)
        out["rows_left_adu"][method] = float(np.std(left - left.mean(axis=1, keepdims=True)))
    flats = [raw for raw in kinds["flat"] if raw.info.physical_filter == "VR"]
    found = MeasureChargeTransferTask().run([*flats, *kinds["bias"]], camera).to_dict()["amplifiers"][0]
    return out | {"charge_transfer": found}


def main(arguments: Sequence[str] | None = None) -> None:
    parts: dict[str, Callable[[Chip], Any]] = {
        "overscan": overscan, "crosstalk": crosstalk, "charge_transfer": charge_transfer, "amp_offsets": amp_offsets,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--survey", type=Path)
    parser.add_argument("--lowell", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[311, 312, 313])
    parser.add_argument("--parts", nargs="*", default=[*parts, "speed"])
    parser.add_argument("--flats", type=int, default=2, help="flats of each level; with 1 no stars are made")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    done: dict[str, Any] = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    chips = [Chip(seed, flats=options.flats) for seed in options.seeds]
    if options.survey:
        from etendue.simulate.surveys.truth_tables import read_survey_truth

        chips.insert(0, Chip(int(read_survey_truth(options.survey / "truth")["survey"]["seed"][0]), options.survey))
    for name in options.parts:
        if name in parts:
            for chip in chips:
                done.setdefault(name, {})[str(chip.seed)] = rounded(parts[name](chip))
                print(name, chip.seed, json.dumps(done[name][str(chip.seed)]), flush=True)
    if "speed" in options.parts:
        done["speed"] = rounded(speed())
    if options.lowell:
        done["lowell42"] = rounded(lowell(options.lowell))
    done |= {
        "what": "electronics of CCDs against the truth",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine_facts(),
    }
    print(json.dumps(done, indent=1))
    if options.out:
        options.out.write_text(json.dumps(done, indent=1) + "\n")


if __name__ == "__main__":
    main()
