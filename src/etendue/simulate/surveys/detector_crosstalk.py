"""Crosstalk between the detectors of a survey's focal plane."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.simulate.ccd.crosstalk import Partner
from etendue.simulate.ccd.output import CcdSignals
from etendue.simulate.population.given_table import GivenTable
from etendue.simulate.random_streams import stream
from etendue.simulate.surveys.crosstalk_spec import DetectorCrosstalkSpec
from etendue.simulate.surveys.survey import Survey

Vector = NDArray[np.float64]
Columns = dict[str, NDArray]
Coefficients = dict[tuple[int, int], NDArray[np.float64]]

_FALLOFF = 1.5


def partners(survey: Survey, detector: Detector, collect: Callable[[Detector], CcdSignals]) -> tuple[Partner, ...]:
    """Return the detectors that talk into one.

    Parameters
    ----------
    survey : Survey
        The survey.
    detector : Detector
        One of its detectors.
    collect : callable
        Gives the signals of another detector in the same exposure.

    Returns
    -------
    tuple of Partner
        None without crosstalk between detectors; then ``collect`` is not called.
    """
    if survey.spec.detector_crosstalk is None:
        return ()
    found = []
    for (victim, aggressor), (linear, quadratic) in coefficients(survey).items():
        if victim == detector.id and (linear.any() or quadratic.any()):
            found.append(Partner(collect(survey.camera.detector(aggressor)).signals, linear, quadratic))
    return tuple(found)


@lru_cache(maxsize=2)
def coefficients(survey: Survey) -> Coefficients:
    """Return the coefficients between all detectors that are read.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    dict of (int, int) to ndarray, float64, shape (2, n, m)
        By victim and aggressor, ids: linear and quadratic coefficients ``[own amplifier, its amplifier]`` [1, 1/ADU].

    Raises
    ------
    InputError
        If the user's table names detectors or amplifiers that there are not.
    """
    spec = survey.spec.detector_crosstalk
    if spec is None:
        return {}
    if spec.table is not None:
        return _given(survey, spec)
    place = {detector.id: number for number, detector in enumerate(survey.camera.detectors)}
    pairs = [(one, other) for one in survey.detectors for other in survey.detectors if one.id != other.id]
    return {
        (one.id, other.id): _drawn(spec, one, other, place[other.id] - place[one.id], survey.seed)
        for one, other in pairs
        if place[one.id] // spec.board == place[other.id] // spec.board
    }


def detector_crosstalk_truth(survey: Survey) -> Columns:
    """Return one row for each pair of amplifiers of different detectors.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    dict of ndarray
        ``detector``, ``victim``, ``aggressor_detector``, ``aggressor``, ``linear``, ``quadratic`` [1/ADU]; no rows if
        the effect is off.
    """
    rows: list[tuple[int, str, int, str, float, float]] = []
    for (victim, aggressor), (linear, quadratic) in coefficients(survey).items():
        own, its = (survey.camera.detector(number).amplifiers for number in (victim, aggressor))
        for i, j in np.argwhere((linear != 0.0) | (quadratic != 0.0)).tolist():
            rows.append((victim, own[i].name, aggressor, its[j].name, float(linear[i, j]), float(quadratic[i, j])))
    types = (np.int64, np.str_, np.int64, np.str_, np.float64, np.float64)
    names = ("detector", "victim", "aggressor_detector", "aggressor", "linear", "quadratic")
    return {
        name: np.array([row[k] for row in rows], kind) for k, (name, kind) in enumerate(zip(names, types, strict=True))
    }


def _drawn(spec: DetectorCrosstalkSpec, one: Detector, other: Detector, apart: int, seed: int) -> Vector:
    own, its = np.arange(len(one.amplifiers)), np.arange(len(other.amplifiers))
    distance = abs(apart) * (1.0 + np.abs(own[:, None] - its[None, :]))
    rng = stream(seed, "detector crosstalk", one.id, other.id)
    typical = np.array([spec.linear, spec.quadratic])[:, None, None] * distance**-_FALLOFF
    return np.asarray(typical * (1.0 + spec.scatter * rng.standard_normal(typical.shape)))


def _given(survey: Survey, spec: DetectorCrosstalkSpec) -> Coefficients:
    assert spec.table is not None
    table = GivenTable.read(spec.table, {})
    known = {detector.id: [a.name for a in detector.amplifiers] for detector in survey.camera.detectors}
    numbers = [table.numbers(name).astype(np.int64) for name in ("detector", "aggressor_detector")]
    names = [table.texts(name) for name in ("victim", "aggressor")]
    for column, number in zip(("detector", "aggressor_detector"), numbers, strict=True):
        table.refuse(column, ~np.isin(number, list(known)), "is no detector of the camera", f"one of {list(known)}")
    for column, number, name in zip(("victim", "aggressor"), numbers, names, strict=True):
        wrong = np.array([text not in known[d] for d, text in zip(number.tolist(), name.tolist(), strict=True)], bool)
        table.refuse(column, wrong, "is no amplifier of its detector", "see 'etendue camera show'")
    table.refuse("aggressor_detector", numbers[0] == numbers[1], "is the victim's own", "use ccd.crosstalk for these")
    values = np.stack([table.numbers("linear", low=-1.0, high=1.0), table.numbers("quadratic", 0.0)], axis=1)
    found: Coefficients = {}
    read = {detector.id for detector in survey.detectors}
    for row, (one, other) in enumerate(zip(numbers[0].tolist(), numbers[1].tolist(), strict=True)):
        if {one, other} <= read:
            matrix = found.setdefault((one, other), np.zeros((2, len(known[one]), len(known[other]))))
            matrix[:, known[one].index(names[0][row]), known[other].index(names[1][row])] = values[row]
    return found
