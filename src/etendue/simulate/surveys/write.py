"""Write a simulated survey: raw frames, reference catalog, truth."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from etendue.camera.raw import RawFrame, write_raws
from etendue.log import get_logger
from etendue.processes import in_processes
from etendue.simulate.surveys.calibration_plan import CalibrationFrame, calibration_frames
from etendue.simulate.surveys.frames import calibration_frame, science_frame
from etendue.simulate.surveys.planned import planned
from etendue.simulate.surveys.refcat import make_refcat, write_refcat
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.truth_tables import Columns, SurveyTruth, frame_truth, survey_truth

_log = get_logger(__name__)
_SCIENCE = "raw"


@dataclass(frozen=True, slots=True)
class _Order:
    """One file that is to be made."""

    detectors: tuple[int, ...]
    exposure: int = 0
    calibration: CalibrationFrame | None = None


def write_survey(
    spec: SurveySpec,
    folder: str | Path,
    seed: int = 1,
    *,
    workers: int = 1,
    tell: Callable[[int, int], None] | None = None,
) -> SurveyTruth:
    """Write a survey.

    Parameters
    ----------
    spec : SurveySpec
        What is simulated, for example from `load_survey`.
    folder : str or Path
        Made if needed; raw frames go to ``bias``, ``dark``, ``flat``, ``twilight``, ``spot`` and ``raw``, the truth to
        ``truth``, the reference catalog to ``refcat.csv``.
    seed : int
        Equal seeds give equal files, whatever the number of workers.
    workers : int
        Processes.
    tell : callable, optional
        Called with the number of files that are made, and that are wanted.

    Returns
    -------
    SurveyTruth
        The tables that are also in ``truth``.

    Raises
    ------
    InputError
        If something in the survey is wrong.
    """
    folder, survey = Path(folder), planned(spec, seed)
    ids = [detector.id for detector in survey.detectors]
    files = [tuple(ids)] if survey.camera.files.detectors == "many" else [(number,) for number in ids]
    orders = [_Order(chosen, calibration=frame) for frame in calibration_frames(survey) for chosen in files]
    orders += [_Order(chosen, exposure=e.exposure) for e in survey.exposures for chosen in files]
    for name in sorted({_SCIENCE, *(o.calibration.kind for o in orders if o.calibration)}):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_refcat(make_refcat(survey), folder / "refcat.csv")
    made: dict[int, list[dict[str, Columns]]] = {}
    for number, found in in_processes(partial(_make, spec, seed, folder), orders, workers=workers, preload=__name__):
        made[number] = found
        if tell is not None:
            tell(len(made), len(orders))
    truth = survey_truth(survey, [found for number in range(len(orders)) for found in made[number]])
    truth.write(folder / "truth")
    _log.info("simulated %s: %d exposures in %s", spec.name, len(survey.exposures), folder)
    return truth


def _make(spec: SurveySpec, seed: int, folder: Path, order: _Order) -> list[dict[str, Columns]]:
    """Write one file, and return the truth of its science frames."""
    survey = planned(spec, seed)
    raws: list[RawFrame] = []
    truths = []
    for number in order.detectors:
        detector = survey.camera.detector(number)
        with threadpool_limits(1):
            if order.calibration is not None:
                raws.append(calibration_frame(survey, order.calibration, detector).raw)
                continue
            frame = science_frame(survey, survey.exposure(order.exposure), detector)
        raws.append(frame.raw)
        truths.append(frame_truth(survey, frame))
    kind = _SCIENCE if order.calibration is None else order.calibration.kind
    whole = survey.camera.files.detectors == "many"
    name = f"{survey.camera.name}_{raws[0].info.exposure_id}.fits.fz" if whole else raws[0].path
    write_raws(raws, folder / kind / name, survey.camera)
    return truths
