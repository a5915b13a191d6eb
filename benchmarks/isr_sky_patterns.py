"""What signature removal leaves of fringes and of an uneven flat screen: frames of the simulated survey `calib`.

Usage: python benchmarks/isr_sky_patterns.py SURVEY... [--out FILE]

Each folder is a survey that ``etendue simulate calib`` has written, whole or with ``detectors: [0]``. Fringes are built
from every other science frame of z and y and subtracted from the rest; the flat of the screen is corrected by stars of
the r frames, and compared with the light that the screen was given.
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

CELL, DEGREE, LOST = 16, 4, ("BAD", "SAT", "NO_DATA", "VIGNETTED")
Row = dict[str, Any]


class Night:
    """The frames of one survey's detector 0, and masters of its first night."""

    def __init__(self, folder: Path):
        from etendue.camera.raw import read_raw
        from etendue.camera.shipped import load_camera
        from etendue.tasks.calib.bias import BuildBiasConfig, BuildBiasTask
        from etendue.tasks.calib.dark import BuildDarkConfig, BuildDarkTask
        from etendue.tasks.readout.calibrations import Calibrations

        self.folder, self.camera = folder, load_camera("simcam4")
        self.detector = self.camera.detector(0)
        self.frames = {
            kind: [read_raw(path, self.camera) for path in sorted((folder / kind).glob("*.fits.fz"))]
            for kind in ("bias", "dark", "flat", "raw")
        }
        biases = self.frames["bias"]
        self.night = biases[0].info.day_obs
        first = [raw for raw in biases if raw.info.day_obs == self.night]
        self.bias = BuildBiasTask(BuildBiasConfig(on_odd="drop")).run(first, self.camera).exposure
        masters = Calibrations(bias=self.bias)
        self.dark = (
            BuildDarkTask(BuildDarkConfig(on_odd="drop")).run(self.frames["dark"], self.camera, masters).exposure
        )

    def flat(self, band: str, count: int | None = None) -> Any:
        """Return the master flat of a band; of its first frames only if ``count`` is given."""
        from etendue.tasks.calib.flat import BuildFlatConfig, BuildFlatTask
        from etendue.tasks.readout.calibrations import Calibrations

        raws = [raw for raw in self.frames["flat"] if raw.info.band == band and raw.info.day_obs == self.night]
        return (
            BuildFlatTask(BuildFlatConfig(on_odd="drop"))
            .run(raws[:count], self.camera, Calibrations(bias=self.bias))
            .exposure
        )

    def images(self, band: str, flat: Any) -> list[Any]:
        """Return the calibrated science frames of a band, without sky pattern."""
        from etendue.tasks.isr.isr import IsrTask
        from etendue.tasks.readout.calibrations import Calibrations

        use = Calibrations(bias=self.bias, dark=self.dark, flat=flat)
        raws = [raw for raw in self.frames["raw"] if raw.info.band == band]
        return [IsrTask().run(raw=raw, camera=self.camera, calibrations=use) for raw in raws]

    def stars(self, band: str) -> list[Any]:
        """Return the tables of stars of the science frames of a band, calibrated with a flat of the screen."""
        from etendue.errors import AlgorithmError
        from etendue.stages.calibrate_image import CalibrateImage

        masters = {"bias": self.bias, "dark": self.dark, "flat": self.flat(band, 5)}
        found = []
        for raw in self.frames["raw"]:
            if raw.info.band == band:
                try:
                    result = CalibrateImage().run(raws=(raw,), camera=self.camera, reference=(), **masters)
                    found.append(result.stars)
                except AlgorithmError as error:
                    print(error)
        return found


def cell_rms(image: NDArray[np.float32], bad: NDArray[np.bool_]) -> float:
    """Return the robust rms of the sky in cells around a smooth surface."""
    from etendue.kernels.background import cell_background, cell_edges
    from etendue.tasks.isr.sky_pattern import smooth_terms

    level, _ = cell_background(image, bad, *(cell_edges(size, CELL) for size in image.shape), 3.0, 10)
    known, terms = np.isfinite(level), smooth_terms(image.shape, CELL, DEGREE)
    surface = terms @ np.linalg.lstsq(terms[known], level[known], rcond=None)[0]
    rest = (level - surface)[known]
    return float(1.4826 * np.median(np.abs(rest)))


def score_fringes(night: Night, band: str) -> Row:
    """Return the rms of cells before and after, and of a frame in which only noise and stars are left."""
    from etendue.tasks.calib.sky_pattern import BuildSkyPatternTask
    from etendue.tasks.isr.sky_pattern import SubtractSkyPatternTask

    images = night.images(band, night.flat(band))
    pattern = BuildSkyPatternTask().run(images[::2])
    before, after, scales, levels = [], [], [], []
    for exposure in images[1::2]:
        bad = exposure.mask.any_of(LOST)
        fit = SubtractSkyPatternTask().run(exposure.image.array, bad, pattern.image.array)
        before.append(cell_rms(exposure.image.array, bad))
        after.append(cell_rms(fit.image, bad))
        scales.append(fit.scale)
        levels.append(float(np.nanmedian(exposure.image.array)))
    floor = noise_floor(images[1::2])
    fringe = [np.sqrt(max(0.0, value**2 - floor**2)) for value in (np.median(before), np.median(after))]
    return {
        "quantity": f"fringes {band}", "built_from": len(images[::2]), "subtracted_from": len(before),
        "rms_before_e": float(np.median(before)), "rms_after_e": float(np.median(after)), "noise_and_stars_e": floor,
        "left": float(fringe[1] / fringe[0]) if fringe[0] else float("nan"),
        "strength_over_sky": float(np.median(np.array(scales) / levels)),
    }  # fmt: skip


def noise_floor(images: list[Any]) -> float:
    """Return the rms of cells of differences of frames, over root two: fringes of equal skies cancel."""
    floors = []
    for one, other in zip(images[::2], images[1::2], strict=False):
        bad = one.mask.any_of(LOST) | other.mask.any_of(LOST)
        ratio = np.float32(np.nanmedian(one.image.array) / np.nanmedian(other.image.array))
        floors.append(cell_rms(one.image.array - ratio * other.image.array, bad) / float(np.hypot(1.0, ratio)))
    return float(np.median(floors))


def score_flat(night: Night, degree: int) -> Row:
    """Return the rms of the screen's flat around the sky's response, before and after correction by stars."""
    from etendue.stages.build_illumination import BuildIllumination, BuildIlluminationStageConfig
    from etendue.tasks.calib.illumination import BuildIlluminationConfig

    stage = BuildIllumination(
        BuildIlluminationStageConfig(illumination=BuildIlluminationConfig(degree=degree, match_arcsec=1.5))
    )
    stars = tuple(table for table in night.stars("r") if len(table))
    facts = {"instrument": "simcam4", "detector": 0, "physical_filter": "r_sim"}
    correction = stage.run(stars=stars, camera=night.camera, data_id=facts).illumination
    truth = 1.0 / screen(night)
    truth /= np.median(truth)
    left = correction.image.array / truth
    return {
        "quantity": f"flat by stars, degree {degree}", "visits": len(stars), **correction.metadata,
        "rms_before": float(np.std(truth) / np.mean(truth)), "rms_after": float(np.std(left) / np.mean(left)),
    }  # fmt: skip


def screen(night: Night) -> NDArray[np.float64]:
    """Return the light of the screen on detector 0, relative to even light."""
    from etendue.simulate.surveys.presets import load_survey
    from etendue.simulate.telescope.field_angle import DetectorPlace

    screen = load_survey("calib").calibrations.screen
    ny, nx = night.detector.bbox.shape
    place = DetectorPlace.nominal(night.camera, night.detector)
    fx, fy = place.to_field(x=np.arange(nx)[None, :], y=np.arange(ny)[:, None])
    return np.asarray(1.0 + screen.tilt[0] * fx + screen.tilt[1] * fy + screen.bowl * (fx**2 + fy**2))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("surveys", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    rows = []
    for folder in options.surveys:
        night = Night(folder)
        found = [score_fringes(night, band) for band in "zy"] + [score_flat(night, degree) for degree in (2, 3)]
        rows += [{"survey": folder.name, **row} for row in found]
        for row in rows[-len(found) :]:
            print(rounded(row), flush=True)
    if options.out:
        facts = {"what": "fringes and flats of the survey calib", "date": f"{datetime.now(UTC):%Y-%m-%d}",
                 "machine": machine_facts(), "rows": rows}  # fmt: skip
        options.out.write_text(json.dumps(rounded(facts), indent=1) + "\n")


if __name__ == "__main__":
    main()
