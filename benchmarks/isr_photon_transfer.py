"""Photon transfer, linearity and the brighter-fatter effect against the truth, on simulated detectors.

Usage: python benchmarks/isr_photon_transfer.py [--survey CALIB] [--seeds 401 402 403] [--galsim] [--speed] --out FILE

``--survey`` is a survey written by ``etendue simulate calib`` (detector 0 is scored); ``--seeds`` are fresh CCDs of the
same specification, flats and biases only. Products come from the frames alone; the deferred charge is that in the
overscan of the same flats. ``--galsim`` makes flats by the pixel areas of GalSim's SiliconSensor and stars by shooting
photons into it. Stars are compared with the light that fell: without noise, unless said.
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from isr_silicon_flats import galsim_areas, galsim_flat
from machine import machine_facts, rounded
from numpy.typing import NDArray
from side import cpu_seconds

from etendue.camera.raw import read_raw
from etendue.camera.segments import Segments
from etendue.camera.shipped import load_camera
from etendue.image.brighter_fatter import BrighterFatterKernel, PixelBoundaries
from etendue.image.linearizer import Linearizer
from etendue.image.ptc import Ptc
from etendue.kernels.brighter_fatter import add_shifts
from etendue.kernels.charge_collection import collect
from etendue.simulate.ccd.brighter_fatter import BrighterFatterSpec
from etendue.simulate.ccd.ccd import Ccd
from etendue.simulate.ccd.spec import CcdSpec
from etendue.simulate.ccd.truth import amplifier_truth, brighter_fatter_truth
from etendue.simulate.surveys.truth_tables import read_survey_truth
from etendue.tasks.calib.brighter_fatter import BrighterFatterProducts, MeasureBrighterFatterTask
from etendue.tasks.calib.gain_trend import MonitorGainTask
from etendue.tasks.calib.linearizer import MeasureLinearizerTask
from etendue.tasks.calib.pair_statistics import FlatPair, MeasurePairTask, PairStatistics
from etendue.tasks.calib.ptc import MeasurePtcTask
from etendue.tasks.isr.brighter_fatter import CorrectBrighterFatterConfig, CorrectBrighterFatterTask
from etendue.tasks.readout.linearize import LinearizeTask
from etendue.tasks.readout.overscan import SubtractOverscanTask

Image = NDArray[Any]
Row = dict[str, Any]
PRESET = Path(__file__).parents[1] / "src/etendue/simulate/surveys/presets/calib.yaml"
CAMERA = load_camera("simcam4")
DETECTOR = CAMERA.detector(0)
SEEINGS = {0.2: (0.5, 0.7, 0.9, 1.2), 0.4: (0.5, 0.8, 1.2)}  # of arcsec/px
FULL_WELL = 83_000.0
STAMP = 61
E2V = BrighterFatterSpec(
    serial_shift=4.08e-7, parallel_shift=6.60e-7, serial_softening=0.42, parallel_softening=0.22, falloff=1.60
)
GALSIM_LEVELS = (0.0, 0.0, 500.0, 2e3, 6e3, 12e3, 2e4, 28e3, 36e3, 44e3, 52e3, 6e4, 66e3, 72e3)
SENSORS = {"lsst_itl_50_32": BrighterFatterSpec(), "lsst_e2v_50_32": E2V}


@dataclass(frozen=True, eq=False)
class Frames:
    """Raw frames of one detector: biases, pairs of flats with their exposure times, pairs of later nights; truth."""

    name: str
    biases: list[Image]
    pairs: list[tuple[float, Any, Any]]
    nights: list[tuple[float, Any, Any]]
    amplifiers: dict[str, Image]
    areas: Image
    sensor: BrighterFatterSpec


def row(quantity: str, found: float, true: float, error: float | None = None, **more: Any) -> Row:
    off = float(found / true - 1.0)
    return {"quantity": quantity, "found": float(found), "true": float(true), "relative": off,
            "relative_error": None if error is None else float(error / abs(true)), **more}  # fmt: skip


def survey_frames(folder: Path) -> Frames:
    """Return the frames of detector 0 of a survey; they are read when they are needed."""
    truth = read_survey_truth(folder / "truth")
    plan = truth["calibrations"]

    def raw(k: int) -> Image:
        name = f"{CAMERA.name}_{plan['exposure'][k]}_000.fits.fz"
        return read_raw(folder / str(plan["kind"][k]) / name, CAMERA).array

    first = plan["day_obs"] == plan["day_obs"][0]
    flats = np.flatnonzero(first & (plan["kind"] == "flat") & (plan["band"] == "r"))[5:]  # behind those of the band
    later = np.flatnonzero(~first & (plan["kind"] == "flat") & (plan["band"] == "r"))
    both = [
        [
            (float(plan["seconds"][a]), lambda a=a: raw(a), lambda b=b: raw(b))
            for a, b in zip(k[::2], k[1::2], strict=True)
        ]
        for k in (flats, later)
    ]
    mine = truth["amplifiers"]["detector"] == 0
    bf = {name: values[truth["brighter_fatter"]["detector"] == 0] for name, values in truth["brighter_fatter"].items()}
    return Frames(
        f"seed {int(truth['survey']['seed'][0])}, survey calib, detector 0",
        [raw(k) for k in np.flatnonzero(first & (plan["kind"] == "bias"))], *both,
        {name: values[mine] for name, values in truth["amplifiers"].items()}, quadrant(bf), BrighterFatterSpec(),
    )  # fmt: skip


def quadrant(table: dict[str, Image]) -> Image:
    """Return the true areas at offsets from 0."""
    area = np.zeros((9, 9))
    inside = (table["dx"] >= 0) & (table["dy"] >= 0)
    area[table["dy"][inside], table["dx"][inside]] = table["a"][inside]
    return area


def fresh_frames(seed: int, sensor: BrighterFatterSpec) -> Frames:
    """Make the flats and biases of the preset with another CCD; the lamp's light is uneven by some percent."""
    preset = yaml.safe_load(PRESET.read_text())
    spec = CcdSpec.model_validate({**preset["ccd"], "brighter_fatter": sensor})
    ccd, rng = Ccd(DETECTOR, spec, seed), np.random.default_rng([seed, 5])
    plan = preset["calibrations"]
    y, x = (np.linspace(-1.0, 1.0, size) for size in ccd.shape)
    screen = (1.0 - 0.03 * x[None, :] + 0.02 * y[:, None] - 0.03 * (x[None, :] ** 2 + y[:, None] ** 2)).astype(
        np.float32
    )

    def flat(level: float, number: int) -> Any:
        lamp = 1.0 + plan["lamp_scatter"] * np.random.default_rng([seed, number, 1]).standard_normal()
        light = (screen * np.float32(level * lamp)).astype(np.float32)
        seconds = level / plan["lamp_e_s"]
        return lambda: ccd.expose(light.copy(), seconds, np.random.default_rng([seed, number]), band="r").raw

    dark = np.zeros(ccd.shape, np.float32)
    biases = [ccd.expose(dark, 0.0, rng).raw for _ in range(plan["bias"])]
    pairs = [
        (level / plan["lamp_e_s"], flat(level, 2 * k), flat(level, 2 * k + 1))
        for k, level in enumerate(plan["flat_pairs"])
    ]
    nights = [(13.3, flat(40000.0, 1000 + 2 * k), flat(40000.0, 1001 + 2 * k)) for k in range(2)]
    areas = quadrant(brighter_fatter_truth(ccd))
    return Frames(f"seed {seed}, fresh CCD", biases, pairs, nights, amplifier_truth(ccd), areas, sensor)


def trimmed(raw: Image) -> Image:
    segments = Segments.of(raw, DETECTOR)
    SubtractOverscanTask().run(segments)
    return segments.assemble()


def deferred_charge(raw: Image) -> Image:
    """Return the charge in 14 columns and 5 rows behind the light over the last light, shape (2, amplifiers)."""
    segments = Segments.of(raw, DETECTOR)
    out = np.zeros((2, len(segments.orders)))
    for k, order in enumerate(segments.orders):
        (ny, nx), segment = order.amplifier.bbox.shape, segments.array[k]
        first, rows = order.prescan + nx, slice(12, ny - 12)
        level = np.median(segment[rows, first + 14 : order.shape[1]])
        serial = np.mean(np.clip(segment[rows, first : first + 14] - level, -40.0, 200.0), axis=0).sum()
        light = np.mean(segment[rows, first - 8 : first]) - level
        columns = slice(order.prescan + 12, first - 12)
        behind = np.clip(
            segment[ny : ny + 5, columns] - np.median(segment[ny + 5 : order.shape[0], columns]), -40.0, 200.0
        )
        out[:, k] = behind.mean(axis=1).sum() / light, serial / light
    return out


def deferral(flats: Sequence[Image]) -> dict[str, tuple[float, float]]:
    """Return the mean fractions that amplifiers leave to the next row and column: half of the last pixel's."""
    ratio = np.median([deferred_charge(raw) for raw in flats], axis=0)
    shares = []
    for k, order in enumerate(Segments.of(flats[0], DETECTOR).orders):
        nx = order.amplifier.bbox.x.size
        serial = ratio[1, k] * (order.prescan + 0.5 * nx) / (order.prescan + nx)
        shares.append((0.5 * float(ratio[0, k]), float(serial)))
    return dict(zip([a.name for a in DETECTOR.amplifiers], shares, strict=True))


@dataclass(frozen=True, eq=False)
class Products:
    """What the tasks made of the frames of a detector."""

    biases: list[PairStatistics]
    flats: list[PairStatistics]
    deferred: dict[str, tuple[float, float]]
    linearizer: Linearizer
    ptc: Ptc
    brighter_fatter: BrighterFatterProducts
    bias: Image


def build(frames: Frames) -> Products:
    """Run the tasks in the order of a bootstrap, pair after pair."""
    master = np.median([trimmed(raw) for raw in frames.biases], axis=0).astype(np.float32)
    measure = MeasurePairTask()
    darks = [trimmed(raw) - master for raw in frames.biases]
    biases = [measure.run(FlatPair(a, b, (0.0, 0.0)), DETECTOR) for a, b in zip(darks[::2], darks[1::2], strict=True)]
    flats = [measure.run(pair, DETECTOR) for pair in calibrated(frames.pairs, master)]
    middle = [make() for seconds, make, _ in frames.pairs if 6.0 < seconds < 20.0]
    deferred = deferral(middle)
    linearizer = MeasureLinearizerTask().run(flats, DETECTOR)
    ptc = MeasurePtcTask().run([*biases, *flats], DETECTOR, linearizer=linearizer, deferred=deferred)
    return Products(biases, flats, deferred, linearizer, ptc, MeasureBrighterFatterTask().run(ptc), master)


def calibrated(pairs: Sequence[tuple[float, Any, Any]], master: Image) -> Iterator[FlatPair]:
    for seconds, one, other in pairs:
        yield FlatPair(trimmed(one()) - master, trimmed(other()) - master, (seconds, seconds), name=f"{seconds} s")


def score_transfer(frames: Frames, products: Products) -> list[Row]:
    """Compare gain, read noise, turn-off and linearity of every amplifier with the truth."""
    rows = []
    for k, entry in enumerate(products.ptc.amplifiers):
        true = {name: values[k] for name, values in frames.amplifiers.items()}
        quantised = entry.gain**2 / 12.0  # of the converter, which the truth does not count
        read_noise = np.sqrt(entry.read_noise**2 - quantised)
        rows.append(row("gain", entry.gain, true["gain"], entry.gain_err, amplifier=entry.name))
        rows.append(row("read noise", read_noise, true["read_noise"], entry.read_noise_err, amplifier=entry.name))
        turnoff = float(products.linearizer[entry.name].corrected(np.array([entry.turnoff_adu]))[0][0])
        rows.append(row("turn-off", turnoff * true["gain"], true["full_well"], amplifier=entry.name))
        electrons = np.linspace(500.0, 0.9 * true["full_well"], 400)
        adu = electrons / true["gain"] * (1.0 - 0.01 * true["nonlinearity"] * electrons / 1e5)
        linear = products.linearizer[entry.name].corrected(adu)[0] * true["gain"] / electrons
        left, before = (float(np.abs(v - 1.0).max()) for v in (linear, adu * true["gain"] / electrons))
        rows.append({"quantity": "linearity residual", "worst": left, "before": before, "amplifier": entry.name})
    return rows


def score_areas(frames: Frames, products: Products) -> list[Row]:
    found, true = products.brighter_fatter, frames.areas
    return [
        row(f"area dx={i} dy={j}", found.area[j, i], true[j, i], found.area_err[j, i],
            of_boundaries=float(found.boundaries.area()[j, i] / true[j, i] - 1.0))
        for j, i in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]  # fmt: skip


def score_nights(frames: Frames, products: Products) -> list[Row]:
    """Compare the gain of later nights, one pair each, with the curve."""
    rows = []
    for number, pair in enumerate(calibrated(frames.nights, products.bias)):
        one = MeasurePairTask().run(pair, DETECTOR)
        checks = MonitorGainTask().run([one], products.ptc, DETECTOR, linearizer=products.linearizer,
                                       deferred=products.deferred)  # fmt: skip
        rows += [
            {"quantity": "gain of a night", "night": number, "amplifier": c.amplifier, "change": c.change,
             "error": c.gain_err / c.gain, "said_to_change": c.changed}
            for c in checks
        ]  # fmt: skip
    return rows


def score_flats(frames: Frames, products: Products) -> list[Row]:
    """Compare covariances of bright flats before and after correction, in electrons, averaged over amplifiers."""
    gains = products.ptc
    rows = []
    for kind in ("boundaries", "kernel"):
        product, before, after = getattr(products.brighter_fatter, kind), [], []
        for pair in calibrated([p for p in frames.pairs if 10.0 < p[0] < 23.0], products.bias):
            planes = [electrons(pixels, products.linearizer, gains) for pixels in (pair.first, pair.second)]
            corrected = [CorrectBrighterFatterTask().run(plane, product).image for plane in planes]
            for store, (one, other) in ((before, planes), (after, corrected)):
                statistics = MeasurePairTask().run(FlatPair(one, other, pair.seconds), DETECTOR)
                deferred = np.array([products.deferred[a.name] for a in DETECTOR.amplifiers])
                covariance = statistics.covariance.copy()
                covariance[:, 1, 0] -= deferred[:, 0] * covariance[:, 0, 0]
                covariance[:, 0, 1] -= deferred[:, 1] * covariance[:, 0, 0]
                store.append(covariance / statistics.signal[:, None, None] ** 2)
        was, now = np.array(before), np.array(after)
        for j, i in ((1, 0), (0, 1), (1, 1)):
            error = np.std(now[..., j, i] - now[..., j, i].mean()) / np.sqrt(now[..., j, i].size)
            rows.append({"quantity": f"covariance left dx={i} dy={j}", "product": kind,
                         "fraction": float(now[..., j, i].mean() / was[..., j, i].mean()),
                         "error": float(error / was[..., j, i].mean())})  # fmt: skip
    return rows


def electrons(pixels: Image, linearizer: Linearizer, ptc: Ptc) -> Image:
    out = np.empty_like(pixels)
    for amplifier in DETECTOR.amplifiers:
        where = amplifier.bbox.slices_in(DETECTOR.bbox)
        adu = pixels[where].astype(float)
        out[where] = adu * (1.0 + linearizer[amplifier.name].deviation(adu)) * ptc[amplifier.name].gain
    return out


@lru_cache
def profile(scale: float, seeing: float) -> Image:
    """Return a Kolmogorov star, pixel in, of unit sum, off the middle of a pixel."""
    import galsim

    star = galsim.Kolmogorov(fwhm=seeing).shift(0.13 * scale, -0.21 * scale)
    image = star.drawImage(nx=STAMP, ny=STAMP, scale=scale).array.astype(float)
    return image / image.sum()


@lru_cache
def fine_profile(scale: float, seeing: float, parts: int = 20) -> tuple[Image, Image, Image]:
    """Return the pixels of such a star, and its true light at their right and upper boundaries [1/px]."""
    import galsim

    star = galsim.Kolmogorov(fwhm=seeing).shift(0.13 * scale, -0.21 * scale)
    fine = star.drawImage(nx=STAMP * parts, ny=STAMP * parts, scale=scale / parts).array.astype(float)
    fine = (fine * parts**2 / fine.sum()).reshape(STAMP, parts, STAMP, parts)
    at_right = 0.5 * (fine[:, :, :-1, -1] + fine[:, :, 1:, 0]).mean(axis=1)
    at_up = 0.5 * (fine[:-1, -1] + fine[1:, 0]).mean(axis=2)
    return fine.mean(axis=(1, 3)), at_right, at_up


def size_and_shape(image: Image, scale: float, seeing: float) -> tuple[float, float]:
    """Return T and e1 by a round Gaussian weight of 0.6 FWHM about the centroid, made up for the weight."""
    fwhm = np.hypot(seeing / scale, 1.0)
    y, x = np.mgrid[:STAMP, :STAMP] - STAMP // 2
    x0 = y0 = 0.0
    for _ in range(20):
        weighted = image * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / (0.6 * fwhm) ** 2)
        dx, dy = (float((weighted * (v - v0)).sum() / weighted.sum()) for v, v0 in ((x, x0), (y, y0)))
        x0, y0 = x0 + 2.0 * dx, y0 + 2.0 * dy
    xx, yy = (float((weighted * (v - v0) ** 2).sum() / weighted.sum()) for v, v0 in ((x, x0), (y, y0)))
    xx, yy = (1.0 / (1.0 / v - 1.0 / (0.6 * fwhm) ** 2) for v in (xx, yy))
    return xx + yy, (xx - yy) / (xx + yy)


def aperture(image: Image, scale: float, seeing: float) -> float:
    """Return the flux within 2.5 FWHM of the middle."""
    y, x = np.mgrid[:STAMP, :STAMP] - STAMP // 2
    return float(image[np.hypot(x - 0.13, y + 0.21) <= 2.5 * seeing / scale].sum(dtype=float))


def collected(light: Image, sensor: BrighterFatterSpec, seed: int, steps: int = 4) -> Image:
    """Return what the simulator's sensor collects, with shot noise."""
    out = np.zeros_like(light)
    words = np.random.default_rng(seed).integers(0, 2**64, steps * light.shape[0], dtype=np.uint64)
    collect(light, out, *sensor.stencils(), steps, 1e9, True, words)
    return out


def collected_star(flux: float, scale: float, seeing: float, sensor: BrighterFatterSpec, steps: int = 32) -> Image:
    """Return the charge of a star without noise: the sensor's shifts times the star's true light at boundaries."""
    light, at_right, at_up = (flux * part for part in fine_profile(scale, seeing))
    charge, stencils = np.zeros_like(light), sensor.stencils()
    for _ in range(steps):
        right, up = np.zeros(light.shape, np.float32), np.zeros(light.shape, np.float32)
        add_shifts((charge + 0.5 * light / steps).astype(np.float32), *stencils, 1.0, right, up)
        moved, grown = (at_right * right[:, :-1], at_up * up[:-1]), light.copy()
        grown[:, :-1] += moved[0]
        grown[:, 1:] -= moved[0]
        grown[:-1] += moved[1]
        grown[1:] -= moved[1]
        charge += grown / steps
    return charge.astype(np.float32)


def compare(light: Image, seen: Image, fixed: Image, scale: float, seeing: float) -> dict[str, float]:
    (t0, e0), (t1, e1), (t2, e2) = (size_and_shape(v.astype(float), scale, seeing) for v in (light, seen, fixed))
    flux = aperture(light, scale, seeing)
    return {"before": t1 / t0 - 1.0, "residual": t2 / t0 - 1.0, "e1_before": e1 - e0, "e1_residual": e2 - e0,
            "flux": aperture(fixed, scale, seeing) / flux - 1.0}  # fmt: skip


def score_stars(products: BrighterFatterProducts, sensor: BrighterFatterSpec) -> list[Row]:
    """Correct stars of the simulator's sensor, without noise, from 1,000 e in all to 80% of full well in a pixel."""
    rows = []
    for scale, seeings in SEEINGS.items():
        for seeing in seeings:
            shape = profile(scale, seeing)
            for name, flux in (
                ("1e3 e", 1e3),
                ("20% full", 0.2 * FULL_WELL / shape.max()),
                ("80% full", 0.8 * FULL_WELL / shape.max()),
            ):
                light = (flux * fine_profile(scale, seeing)[0]).astype(np.float32)
                seen = collected_star(flux, scale, seeing, sensor)
                for kind in ("boundaries", "kernel"):
                    fixed = CorrectBrighterFatterTask().run(seen, getattr(products, kind)).image
                    rows.append({"quantity": "star", "scale": scale, "seeing": seeing, "level": name, "product": kind,
                                 **compare(light, seen, fixed, scale, seeing)})  # fmt: skip
    return rows


def score_noisy_stars(products: BrighterFatterProducts, sensor: BrighterFatterSpec, count: int = 300) -> list[Row]:
    """Correct stars with shot noise and sky; sizes are means over many stars."""
    rows = []
    for scale, seeing in ((0.2, 0.5), (0.2, 0.9)):
        shape = profile(scale, seeing)
        light = (0.7 * FULL_WELL / shape.max() * shape + 500.0).astype(np.float32)
        truth = size_and_shape(light - 500.0, scale, seeing)[0]
        seen = [collected(light, sensor, seed=k) for k in range(count)]
        for kind in ("boundaries", "kernel"):
            fixed = [CorrectBrighterFatterTask().run(one, getattr(products, kind)).image for one in seen]
            sizes = np.array([[size_and_shape(v.astype(float) - 500.0, scale, seeing)[0] for v in pair]
                              for pair in zip(seen, fixed, strict=True)])  # fmt: skip
            before, after = sizes.mean(axis=0) / truth - 1.0
            error = sizes[:, 1].std() / truth / np.sqrt(count)
            rows.append({"quantity": "noisy stars", "scale": scale, "seeing": seeing, "product": kind, "count": count,
                         "before": before, "residual": after, "error": error})  # fmt: skip
    return rows


def score(frames: Frames) -> dict[str, Any]:
    begin = time.process_time()
    products = build(frames)
    built = time.process_time() - begin
    rows = [*score_transfer(frames, products), *score_areas(frames, products), *score_nights(frames, products)]
    rows += score_flats(frames, products) + score_stars(products.brighter_fatter, frames.sensor)
    rows += score_noisy_stars(products.brighter_fatter, frames.sensor)
    return {"frames": frames.name, "build_cpu_s": built, "summary": summary(rows), "rows": rows}


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Return the worst of every quantity that has a bar."""
    out: dict[str, float] = {}

    def worst(name: str, values: list[float]) -> None:
        if values:
            out[name] = max(values, key=abs)

    for name in ("gain", "read noise", "turn-off"):
        worst(name, [r["relative"] for r in rows if r["quantity"] == name])
    worst("linearity residual", [r["worst"] for r in rows if r["quantity"] == "linearity residual"])
    worst("gain of a night", [r["change"] for r in rows if r["quantity"] == "gain of a night"])
    for kind in ("boundaries", "kernel"):
        mine = [r for r in rows if r.get("product") == kind]
        for scale, sharp in itertools.product(SEEINGS, (False, True)):
            stars = [r for r in mine if r["quantity"] in ("star", "galsim star") and r["scale"] == scale
                     and (r.get("diffusion") == 0.0) == sharp]  # fmt: skip
            where = f"{scale} arcsec/px" + (" without diffusion" if sharp else "")
            worst(f"{kind}: dT/T at {where}", [r["residual"] for r in stars])
            worst(f"{kind}: e1 at {where}", [r["e1_residual"] for r in stars])
            worst(f"{kind}: flux at {where}", [r["flux"] for r in stars])
        worst(f"{kind}: noisy stars", [r["residual"] for r in mine if r["quantity"] == "noisy stars"])
        worst(f"{kind}: covariance left", [r["fraction"] for r in mine if r["quantity"].startswith("covariance")])
    return out


def speed(repeat: int = 5) -> dict[str, float]:
    """Return the CPU time of corrections on 4096 px [s], medians."""
    rng = np.random.default_rng(1)
    plane = rng.poisson(20000.0, (4096, 4096)).astype(np.float32)
    area = BrighterFatterSpec(reach=8).stencils()
    task = CorrectBrighterFatterTask(CorrectBrighterFatterConfig(converged_e=0.0))
    kernel = BrighterFatterKernel(1e-8 * np.ones((9, 9)))
    from ccd_effects import detector_of

    from etendue.image.linearizer import AmplifierLinearity

    detector = detector_of(4096)
    segments = Segments.of(rng.integers(1000, 30000, detector.raw_shape).astype(np.uint16), detector)
    spline = (np.linspace(0.0, 60000.0, 7), np.linspace(0.0, 0.02, 7))
    linearizer = Linearizer(tuple(AmplifierLinearity(a.name, "spline", *spline) for a in detector.amplifiers))
    pair = FlatPair(plane, rng.poisson(20000.0, plane.shape).astype(np.float32), (1.0, 1.0))
    whole = {
        "brighter-fatter, boundaries of reach 8, 10 iterations": lambda: task.run(plane, PixelBoundaries(*area)),
        "brighter-fatter, kernel of 17 x 17, 10 iterations": lambda: task.run(plane, kernel),
        "brighter-fatter until converged": lambda: CorrectBrighterFatterTask().run(plane, PixelBoundaries(*area)),
        "linearity, spline": lambda: LinearizeTask().run(segments, linearizer),
        "statistics of a pair of flats, lag 8": lambda: MeasurePairTask().run(pair, detector),
    }
    out = {}
    for name, run in whole.items():
        run()
        times = []
        for _ in range(repeat):
            begin = cpu_seconds()
            run()
            times.append(cpu_seconds() - begin)
        out[name] = float(np.median(times))
    return out


def galsim_pair(name: str, seed: int, tile: int, k: int) -> PairStatistics:
    """Return the statistics of a pair of flats by GalSim's sensor, gain 1; of noise alone for level 0."""
    level, shape = GALSIM_LEVELS[k], DETECTOR.bbox.shape
    rng = np.random.default_rng([seed, tile, k])
    if level > 0.0:
        frames = [galsim_flat(name, level, rng, shape) for _ in (0, 1)]
    else:
        frames = [rng.normal(0.0, 5.0, shape).astype(np.float32) for _ in (0, 1)]
    return MeasurePairTask().run(FlatPair(*frames, (level / 3000.0,) * 2), DETECTOR)


def galsim_products(name: str, seed: int, tiles: int, cache: Path) -> BrighterFatterProducts:
    """Return products of 12 pairs of flats of so many times 1k x 1k pixels; their statistics are kept."""
    cache.mkdir(parents=True, exist_ok=True)
    statistics = []
    for tile, k in itertools.product(range(tiles), range(len(GALSIM_LEVELS))):
        path = cache / f"{name}-{seed}-{tile}-{k}.npz"
        if not path.exists():
            one = galsim_pair(name, seed, tile, k)
            np.savez(path, **{field.name: getattr(one, field.name) for field in fields(one)})
        with np.load(path) as kept:
            values = {field.name: kept[field.name] for field in fields(PairStatistics)}
        seconds, diode = (tuple(values.pop(key).tolist()) for key in ("seconds", "photodiode"))
        statistics.append(PairStatistics(seconds, diode, **{**values, "name": str(values["name"])}))
    return MeasureBrighterFatterTask().run(MeasurePtcTask().run(statistics, DETECTOR))


def galsim_pair_of_stars(
    name: str, scale: float, seeing: float, flux: float, diffusion: float, seed: int
) -> list[Image]:
    """Return what GalSim's sensor collects of the same photons without and with the effect."""
    import galsim

    psf = galsim.Kolmogorov(fwhm=seeing).shift(0.13 * scale, -0.21 * scale).withFlux(flux)
    images = []
    for strength in (1e-9, 1.0):
        sensor = galsim.SiliconSensor(name, strength=strength, rng=galsim.BaseDeviate(7 + seed),
                                      diffusion_factor=diffusion)  # fmt: skip
        image = galsim.ImageF(STAMP, STAMP)
        psf.drawImage(image, scale=scale, method="phot", sensor=sensor, rng=galsim.BaseDeviate(50 + seed),
                      poisson_flux=False)  # fmt: skip
        images.append(image.array.astype(np.float32))
    return images


def galsim_stars(products: BrighterFatterProducts, name: str, seed: int, count: int = 8) -> list[Row]:
    """Correct stars whose photons GalSim's sensor collected; the same photons without the effect are the truth."""
    rows = []
    for (scale, seeings), diffusion in itertools.product(SEEINGS.items(), (1.0, 0.0)):
        for seeing in seeings:
            full = FULL_WELL / profile(scale, seeing).max()
            for level, flux in (("1e3 e", 1e3), ("20% full", 0.2 * full), ("80% full", 0.8 * full)):
                found: dict[str, list[dict[str, float]]] = {"boundaries": [], "kernel": []}
                for k in range(count):
                    light, seen = galsim_pair_of_stars(name, scale, seeing, flux, diffusion, 1000 * seed + k)
                    for kind, entries in found.items():
                        fixed = CorrectBrighterFatterTask().run(seen, getattr(products, kind)).image
                        entries.append(compare(light, seen, fixed, scale, seeing))
                for kind, entries in found.items():
                    mean = {key: float(np.mean([entry[key] for entry in entries])) for key in entries[0]}
                    error = float(np.std([entry["residual"] for entry in entries], ddof=1) / np.sqrt(count))
                    rows.append({"quantity": "galsim star", "sensor": name, "scale": scale, "seeing": seeing,
                                 "diffusion": diffusion, "product": kind, "count": count, "level": level,
                                 "error": error, **mean})  # fmt: skip
    return rows


def score_galsim(name: str, seed: int, tiles: int, cache: Path) -> dict[str, Any]:
    products = galsim_products(name, seed, tiles, cache)
    rows = galsim_stars(products, name, seed)
    area = {"found": products.area[:3, :3].tolist(), "error": products.area_err[:3, :3].tolist(),
            "true": galsim_areas(name, 1e3)[8:11, 8:11].tolist()}  # fmt: skip
    return {"frames": f"GalSim {name}, seed {seed}, 12 pairs of {tiles} Mpx", "area": area,
            "reach": products.boundaries.reach, "summary": summary(rows), "rows": rows}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Score photon transfer and what follows from it; write JSON.")
    parser.add_argument("--survey", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[])
    parser.add_argument("--e2v", type=int, nargs="*", default=[], help="seeds of CCDs with the stronger effect")
    parser.add_argument("--galsim", type=int, nargs="*", default=[], help="seeds of flats of each of two sensors")
    parser.add_argument("--cache", type=Path, default=Path("galsim-flats"), help="statistics of flats of --galsim")
    parser.add_argument("--tiles", type=int, default=16, help="megapixels of a flat of --galsim")
    parser.add_argument("--sensors", nargs="*", default=list(SENSORS), choices=list(SENSORS), help="of --galsim")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    scored = [score(survey_frames(options.survey))] if options.survey else []
    scored += [score(fresh_frames(seed, BrighterFatterSpec())) for seed in options.seeds]
    scored += [score(fresh_frames(seed, E2V)) for seed in options.e2v]
    scored += [
        score_galsim(name, seed, options.tiles, options.cache) for seed in options.galsim for name in options.sensors
    ]
    for one in scored:
        print(one["frames"], json.dumps(rounded(one["summary"], 3), indent=1))
    times = speed() if options.speed else {}
    print(json.dumps(rounded(times), indent=1))
    if options.out:
        facts = {"what": __doc__.splitlines()[0] if __doc__ else "", "date": f"{datetime.now(UTC):%Y-%m-%d}",
                 "machine": machine_facts()}  # fmt: skip
        options.out.write_text(json.dumps(rounded({**facts, "cpu_s": times, "scored": scored}), indent=1) + "\n")


if __name__ == "__main__":
    main()
