"""Make some frames or visits of a written survey once more, each alone in a new process, and compare every pixel."""

from pathlib import Path
from typing import Any

import numpy as np


def lone_frames(spec: Any, folder: Path, seed: int, count: int) -> dict[str, Any]:
    """Return how many of the files that were made alone equal those of the survey, bit for bit."""
    from etendue.simulate.surveys.survey import Survey

    survey, rng = Survey.plan(spec, seed), np.random.default_rng(seed)
    if spec.catalog is not None:
        return _visits(survey, folder, rng, count)
    made = _science(survey, folder, rng, count) + _calibrations(survey, folder, rng, count)
    return {"frames": len(made), "equal": sum(made)}


def _science(survey: Any, folder: Path, rng: np.random.Generator, count: int) -> list[bool]:
    """Compare pixels, header and the truth of sources."""
    from etendue.simulate.surveys.frames import science_frame
    from etendue.simulate.surveys.truth_tables import read_survey_truth

    sources, equal = read_survey_truth(folder / "truth")["sources"], []
    for _ in range(count):
        exposure = survey.exposures[rng.integers(len(survey.exposures))]
        detector = survey.detectors[rng.integers(len(survey.detectors))]
        frame = science_frame(survey, exposure, detector)
        rows = (sources["visit"] == exposure.exposure) & (sources["detector"] == detector.id)
        assert frame.scene is not None
        same = all(np.array_equal(sources[name][rows], values) for name, values in frame.scene.sources.items())
        equal.append(same and _is_written(frame.raw, folder / "raw", survey.camera))
    return equal


def _calibrations(survey: Any, folder: Path, rng: np.random.Generator, count: int) -> list[bool]:
    from etendue.simulate.surveys.calibration_plan import calibration_frames
    from etendue.simulate.surveys.frames import calibration_frame

    frames, equal = calibration_frames(survey), []
    for number in rng.integers(len(frames), size=count if frames else 0):
        detector = survey.detectors[rng.integers(len(survey.detectors))]
        raw = calibration_frame(survey, frames[number], detector).raw
        equal.append(_is_written(raw, folder / frames[number].kind, survey.camera))
    return equal


def _is_written(raw: Any, folder: Path, camera: Any) -> bool:
    from etendue.camera.raw import read_raw

    again = read_raw(folder / raw.path, camera)
    return bool(np.array_equal(raw.array, again.array)) and all(
        _same_card(value, again.header.get(key)) for key, value in raw.header.items()
    )


def _same_card(value: Any, written: Any) -> bool:
    """Compare a card with what is left of it in a file: 20 characters of a number."""
    if isinstance(value, float) and isinstance(written, float):
        return bool(np.isclose(value, written, rtol=1e-12, atol=1e-18))
    return bool(value == written)


def _visits(survey: Any, folder: Path, rng: np.random.Generator, count: int) -> dict[str, Any]:
    """Compare whole tables of visits by their content hash."""
    from etendue.simulate.catalogs.catalog_maker import CatalogMaker
    from etendue.table.parquet import read_table

    maker, equal = CatalogMaker(survey), []
    for _ in range(count):
        exposure = survey.exposures[rng.integers(len(survey.exposures))]
        for name, made in maker.make(exposure).items():
            night = read_table(folder / name / f"{exposure.day_obs}.parquet")
            written = night.take(np.flatnonzero(np.asarray(night["visit"]) == exposure.exposure))
            equal.append(written.content_hash() == made.table.content_hash())
    return {"tables_of_visits": len(equal), "equal": sum(equal)}
