"""Measure a camera on the frames of the simulated survey `calib` by textbook estimators, against the truth.

What this shows is that the sequence of frames suffices; none of the estimators is one of the pipelines'. Usage:
python benchmarks/calibration_estimates.py SURVEY [--detectors 0 1] [--out FILE], SURVEY from `etendue simulate calib`.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts, rounded
from numpy.typing import NDArray

Image = NDArray[np.float64]
Rows = list[dict[str, Any]]
_EDGE = 12
_OVERSCAN, _ROWS = 14, 5  # columns and rows behind the light in which deferred charge is summed
_TRANSFERS = {"serial": 520.0, "parallel": 512.0}  # prescan and light of simcam4


class Detector:
    """The frames of one detector, and what is true of it."""

    def __init__(self, folder: Path, number: int):
        from etendue.camera.shipped import load_camera
        from etendue.simulate.surveys.truth_tables import read_survey_truth

        self.folder, self.number, self.truth = folder, number, read_survey_truth(folder / "truth")
        self.camera = load_camera("simcam4")
        self.chip = self.camera.detector(number)
        mine = self.truth["amplifiers"]["detector"] == number
        self.amplifiers = {name: values[mine] for name, values in self.truth["amplifiers"].items()}
        plan = self.truth["calibrations"]
        first = plan["day_obs"] == plan["day_obs"][0]
        self.plan = {name: values[first] for name, values in plan.items()}

    def rows(self, kind: str, band: str = "") -> list[int]:
        chosen = (self.plan["kind"] == kind) & ((self.plan["band"] == band) | (band == ""))
        return np.flatnonzero(chosen).tolist()

    def pairs(self) -> list[tuple[int, int]]:
        rows = self.rows("flat", "r")[5:]  # behind the five flats of the band
        return list(zip(rows[::2], rows[1::2], strict=True))

    @lru_cache(maxsize=4)  # noqa: B019 - it lives as long as the program
    def segments(self, row: int) -> Image:
        """Return the amplifiers in read order with what is read behind them, above overscan [ADU]."""
        kind, exposure = self.plan["kind"][row], self.plan["exposure"][row]
        raw = self._raw(self.folder / str(kind) / f"{self.camera.name}_{exposure}_{self.number:03d}.fits.fz")
        return np.stack([self._segment(raw, number) for number in range(4)])

    def image(self, path: Path) -> Image:
        """Return a frame without overscan, by amplifier above it [e, true gains]."""
        raw, out = self._raw(path), np.zeros(self.chip.bbox.shape)
        for number, amplifier in enumerate(self.chip.amplifiers):
            segment = self._segment(raw, number)[:512, :512] * self.amplifiers["gain"][number]
            out[amplifier.bbox.slices_in(self.chip.bbox)] = self._turned(segment, number)
        return out

    def _raw(self, path: Path) -> Image:
        from astropy.io import fits

        with fits.open(path) as units:
            return np.asarray(next(unit.data for unit in units if unit.data is not None), float)

    def _segment(self, raw: Image, number: int) -> Image:
        """Return light and overscan of one amplifier as it is read: 528 rows of 544 columns."""
        amplifier = self.chip.amplifiers[number]
        y, x = amplifier.raw_data.y, amplifier.raw_data.x
        rows = raw[y.start : y.stop + 16] if y.start == 0 else raw[y.start - 16 : y.stop][::-1]
        part = rows[:, x.start : x.stop + 32] if x.start < 500 else rows[:, x.start - 32 : x.stop][:, ::-1]
        level = np.median(part[:, 512 + _OVERSCAN :], axis=1, keepdims=True)
        level[512:] = np.mean(part[512:, 512 + _OVERSCAN :])  # rows of hardly any light: one level is less noisy
        return part - level

    def _turned(self, segment: Image, number: int) -> Image:
        amplifier = self.chip.amplifiers[number]
        up = segment if amplifier.raw_data.y.start == 0 else segment[::-1]
        return up if amplifier.raw_data.x.start < 500 else up[:, ::-1]


def light(segment: Image) -> Image:
    return segment[_EDGE : 512 - _EDGE, _EDGE : 512 - _EDGE]


def row(quantity: str, found: float, true: float, error: float | None = None) -> dict[str, Any]:
    return {"quantity": quantity, "found": float(found), "true": float(true), "relative": float(found / true - 1.0),
            "error": None if error is None else float(error / abs(true))}  # fmt: skip


def clipped(values: Image) -> Image:
    low, middle, high = np.percentile(values, [15.8655, 50.0, 84.1345])
    return values[np.abs(values - middle) < 4.0 * 0.5 * (high - low)]


def photon_transfer(chip: Detector) -> Rows:
    """Gain, full well, read noise, linearity of every amplifier by pairs of flats and biases."""
    pairs = chip.pairs()
    seconds = np.array([chip.plan["seconds"][one] for one, _ in pairs])
    mean, variance = np.zeros((2, len(pairs), 4))
    for k, (one, other) in enumerate(pairs):
        first, second = chip.segments(one), chip.segments(other)
        for a in range(4):
            mean[k, a] = 0.5 * np.median(light(first[a]) + light(second[a]))
            variance[k, a] = 0.5 * np.var(clipped(light(first[a]) - light(second[a])))
    biases = [chip.segments(k) for k in chip.rows("bias")[:6]]
    rows = []
    for a in range(4):
        noise = np.sqrt(np.mean([0.5 * np.var(clipped(light(x[a]) - light(y[a]))) for x, y in pairwise(biases)]))
        gain = _gain(mean[:, a], variance[:, a], noise)
        true = {name: values[a] for name, values in chip.amplifiers.items() if name != "amplifier"}
        rows.append(row("gain", gain, true["gain"]))
        rows.append(row("read noise", noise * true["gain"], true["read_noise"]))
        peak = int(np.argmax(variance[:, a]))
        rows.append(row("full well", mean[peak, a] * true["gain"], true["full_well"]))
        use = (mean[:, a] * true["gain"] < 70000.0) & (mean[:, a] > 300.0)
        design = np.stack([seconds[use], seconds[use] ** 2], axis=1) / mean[use, a][:, None]
        slope, bend = np.linalg.lstsq(design, np.ones(use.sum()), rcond=None)[0]
        rows.append(row("non-linearity", bend / slope**2 / true["gain"] * 1e5 / -0.01, true["nonlinearity"]))
    return rows


def _gain(mean: Image, variance: Image, noise: float) -> float:
    """Return the gain of a variance that bends with the second and third power of the signal."""
    use = mean < 0.75 * mean[np.argmax(variance)]
    design = np.stack([mean[use] ** k for k in (1, 2, 3)], axis=1) / variance[use][:, None]
    coefficients = np.linalg.lstsq(design, (variance[use] - noise**2) / variance[use], rcond=None)[0]
    return float(1.0 / coefficients[0])


def transfer(chip: Detector) -> Rows:
    """Charge-transfer inefficiency by charge in the overscan, over the last light, against the signal."""
    rows = []
    kinds: dict[str, Callable[[Image], tuple[float, float]]] = {
        "serial": lambda s: (s[_EDGE:500, 512 : 512 + _OVERSCAN].mean(axis=0).sum(), s[_EDGE:500, 505:512].mean()),
        "parallel": lambda s: (
            sum(clipped(r).mean() for r in s[512 : 512 + _ROWS, _EDGE:500]),
            s[505:512, _EDGE:500].mean(),
        ),
    }
    flats = [one for pair in chip.pairs() for one in pair if 5000.0 < chip.plan["electrons"][one] < 65000.0]
    for name, measure in kinds.items():
        found = np.array([[measure(segment) for segment in chip.segments(one)] for one in flats])
        for a in range(4):
            deferred, signal = found[:, a].T
            slope, offset = np.polyfit(signal, deferred, 1, w=1.0 / np.sqrt(signal))
            scatter = np.std(deferred - slope * signal - offset) / np.std(signal) / np.sqrt(len(flats))
            true = chip.amplifiers[f"{name}_cti"][a]
            rows.append(row(f"{name} inefficiency", slope / _TRANSFERS[name], true, scatter / _TRANSFERS[name]))
    return rows


def covariances(chip: Detector) -> Rows:
    """Covariances of neighbours in pairs of flats over the square of the signal: areas that a charge changes."""
    truth, rows = chip.truth["brighter_fatter"], []
    wanted = {(0, 1): [], (1, 0): [], (1, 1): []}
    for one, other in chip.pairs():
        if not 20000.0 < chip.plan["electrons"][one] < 65000.0:
            continue
        first, second = chip.segments(one), chip.segments(other)
        for a in range(4):
            x, y = light(first[a]), light(second[a])
            difference = (x - y) * chip.amplifiers["gain"][a]
            signal = 0.5 * np.mean(x + y) * chip.amplifiers["gain"][a]
            difference -= np.median(difference)
            difference[np.abs(difference) > 5.0 * np.std(clipped(difference))] = 0.0
            for dy, dx in wanted:
                ny, nx = difference.shape
                shifted = difference[dy:, dx:] * difference[: ny - dy, : nx - dx]
                wanted[dy, dx].append((0.5 * np.mean(shifted) / signal**2, 0.5 * np.var(difference) / signal**2))
    for (dy, dx), found in wanted.items():
        values, unit = np.array(found).T
        true = truth["a"][(truth["detector"] == chip.number) & (truth["dx"] == dx) & (truth["dy"] == dy)][0]
        error = np.sqrt(np.sum((unit / 488.0) ** 2)) / values.size
        rows.append(row(f"covariance at dx={dx}, dy={dy}", values.mean(), true, error))
    return rows


def crosstalk(chip: Detector) -> Rows:
    """Light in dark amplifiers over that of the spot."""
    truth = {name: v[chip.truth["crosstalk"]["detector"] == chip.number] for name, v in chip.truth["crosstalk"].items()}
    y, x = np.mgrid[:512, :512] - 255.5
    radius = np.hypot(y, x)
    inside, around = radius < 54.0, (radius > 70.0) & (radius < 120.0)
    ratios: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for one in chip.rows("spot"):
        aggressor, segments = int(chip.plan["amplifier"][one]), chip.segments(one)[:, :512, :512]
        level = float(np.median(segments[aggressor][inside]))
        for victim in set(range(4)) - {aggressor}:
            above = np.mean(clipped(segments[victim][inside])) - np.mean(clipped(segments[victim][around]))
            ratios.setdefault((victim, aggressor), []).append((level, float(above)))
    names, rows = [amplifier.name for amplifier in chip.chip.amplifiers], []
    for (victim, aggressor), found in sorted(ratios.items()):
        level, above = np.array(found).T
        mine = (truth["victim"] == names[victim]) & (truth["aggressor"] == names[aggressor])
        linear, quadratic = (float(truth[name][mine][0]) for name in ("linear", "quadratic"))
        true = linear + quadratic * level.mean()
        found_ratio = float(np.sum(above * level) / np.sum(level * level))
        spread = np.std(above - found_ratio * level) / np.sqrt(np.sum(level**2))
        rows.append(row("crosstalk", found_ratio, true, spread))
    return rows


def dark(chip: Detector) -> Rows:
    """Dark current of the longest and the shortest darks."""
    found = []
    seconds = chip.plan["seconds"][chip.rows("dark")]
    for wanted in (seconds.min(), seconds.max()):
        rows = [k for k in chip.rows("dark") if chip.plan["seconds"][k] == wanted]
        stack = np.median([chip.segments(k) for k in rows], axis=0)
        found.append(
            np.mean([np.mean(clipped(light(s)) * g) for s, g in zip(stack, chip.amplifiers["gain"], strict=True)])
        )
    return [row("dark current", (found[1] - found[0]) / (seconds.max() - seconds.min()), 0.02)]


def fringes(chip: Detector) -> Rows:
    """Fringes of the dithered skies over the flat of their band: rms on scales of 8 px."""
    rows, exposures = [], chip.truth["exposures"]
    for band, amplitude in (("z", 0.004), ("y", 0.02)):
        stack = []
        flat = np.median([chip.image(_path(chip, "flat", k)) for k in chip.rows("flat", band)], axis=0)
        for exposure in exposures["exposure"][exposures["band"] == band]:
            sky = chip.image(chip.folder / "raw" / f"{chip.camera.name}_{exposure}_{chip.number:03d}.fits.fz") / flat
            stack.append(sky / np.median(sky))
        mean = np.median(stack, axis=0)[:1016, :1016]
        binned = np.median(mean.reshape(127, 8, 127, 8).swapaxes(1, 2).reshape(127, 127, 64), axis=2)
        yy, xx = np.indices(binned.shape) / 127.0
        design = np.stack([np.ones(binned.size), *(v.ravel() for v in (xx, yy, xx * xx, xx * yy, yy * yy))], axis=1)
        left = binned.ravel() - design @ np.linalg.lstsq(design, binned.ravel(), rcond=None)[0]
        low, high = np.percentile(left, [15.8655, 84.1345])
        rows.append(row(f"rms of fringes in {band}", 0.5 * (high - low), amplitude / np.sqrt(2.0)))
    return rows


def _path(chip: Detector, kind: str, k: int) -> Path:
    return chip.folder / kind / f"{chip.camera.name}_{chip.plan['exposure'][k]}_{chip.number:03d}.fits.fz"


def illumination(folder: Path) -> Rows:
    """Unevenness of the screen by the same stars at many places of the focal plane, against each other."""
    measured = np.concatenate([_fluxes(Detector(folder, number)) for number in range(4)])
    measured = measured[np.isfinite(measured[:, 5]) & (measured[:, 5] > 0.0)]
    _, star, count = np.unique(measured[:, 2], return_inverse=True, return_counts=True)
    measured = measured[count[star] >= 3]
    columns = [np.unique(measured[:, k], return_inverse=True)[1] for k in (2, 0, 1)]  # stars, exposures, detectors
    design = np.concatenate([np.eye(column.max() + 1)[column][:, k > 0 :] for k, column in enumerate(columns)], axis=1)
    x, y = measured[:, 3:5].T
    design = np.column_stack([design, x, y, x * x + y * y])
    value, kept = np.log(measured[:, 5]), np.ones(len(measured), bool)
    for _ in range(6):
        solution = np.linalg.lstsq(design[kept], value[kept], rcond=None)[0]
        left = value - design @ solution
        spread = 1.4826 * np.median(np.abs(left[kept]))
        kept = np.abs(left) < 3.0 * spread
    error = spread * np.sqrt(np.diag(np.linalg.pinv(design[kept].T @ design[kept]))[-3:])
    spec = json.loads(str(Detector(folder, 0).truth["survey"]["spec"][0]))["calibrations"]["screen"]
    return [
        row(f"screen, {what}", -solution[k], true, error[k])
        for what, k, true in (
            ("tilt x", -3, spec["tilt"][0]),
            ("tilt y", -2, spec["tilt"][1]),
            ("bowl", -1, spec["bowl"]),
        )
    ]


def _fluxes(chip: Detector) -> Image:
    """Return exposure, detector, star, field angles [deg] and flux over the dome flat of stars in r."""
    from etendue.simulate.telescope.field_angle import DetectorPlace

    flat = np.median([chip.image(_path(chip, "flat", k)) for k in chip.rows("flat", "r")[:5]], axis=0)
    flat /= np.median(flat)
    flat[flat < 0.8] = np.nan
    place = DetectorPlace.nominal(chip.camera, chip.chip)
    exposures, sources = chip.truth["exposures"], chip.truth["sources"]
    y, x = np.mgrid[-12:13, -12:13]
    disc, ring = np.hypot(x, y) < 8.0, np.hypot(x, y) > 10.0
    measured = []
    for number, exposure in enumerate(exposures["exposure"][exposures["band"] == "r"]):
        sky = chip.image(chip.folder / "raw" / f"{chip.camera.name}_{exposure}_{chip.number:03d}.fits.fz") / flat
        mine = (sources["visit"] == exposure) & (sources["detector"] == chip.number)
        mine &= (sources["electrons"] > 2e4) & (sources["electrons"] < 4e5)
        for k in np.flatnonzero(mine):
            column, line = round(float(sources["x"][k])), round(float(sources["y"][k]))
            if 12 <= column < 1011 and 12 <= line < 1011:
                stamp = sky[line - 12 : line + 13, column - 12 : column + 13]
                field = place.to_field(x=sources["x"][k], y=sources["y"][k])
                flux = np.sum(stamp[disc] - np.median(stamp[ring]))
                measured.append((number, chip.number, sources["object_id"][k], *field, flux))
    return np.array(measured, float)


def summary(rows: Rows) -> Rows:
    """Return one row per quantity: how far the estimates are from the truth."""
    out = []
    for name in dict.fromkeys(r["quantity"] for r in rows):
        mine = [r for r in rows if r["quantity"] == name]
        off = np.array([r["relative"] for r in mine])
        errors = [r["error"] for r in mine if r["error"] is not None]
        out.append(
            {
                "quantity": name,
                "n": len(mine),
                "mean_relative": float(off.mean()),
                "rms_relative": float(np.sqrt(np.mean(off**2))),
                "stated_error": float(np.mean(errors)) if errors else None,
            }
        )
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Measure a camera on the frames of `calib`; write the figures as JSON."
    )
    parser.add_argument("survey", type=Path)
    parser.add_argument("--detectors", type=int, nargs="*", default=[0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    rows: Rows = []
    for number in options.detectors:
        chip = Detector(options.survey, number)
        for measure in (photon_transfer, transfer, covariances, crosstalk, dark, fringes):
            rows += measure(chip)
    rows += illumination(options.survey)
    for line in summary(rows):
        error = "" if line["stated_error"] is None else f", error {line['stated_error']:.2%}"
        off = f"mean {line['mean_relative']:+.2%}, rms {line['rms_relative']:.2%}"
        print(f"{line['quantity']}: n={line['n']}, {off}{error}")
    if options.out:
        facts = {
            "what": "textbook estimates on the frames of calib against the truth",
            "seed": int(chip.truth["survey"]["seed"][0]), "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "detectors": options.detectors, "machine": machine_facts(),
        }  # fmt: skip
        options.out.write_text(json.dumps(rounded({**facts, "summary": summary(rows), "rows": rows}), indent=1) + "\n")


if __name__ == "__main__":
    main()
