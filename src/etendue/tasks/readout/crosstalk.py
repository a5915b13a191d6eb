"""Take the crosstalk between amplifiers out of a frame."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.camera.segments import Segments
from etendue.errors import InputError
from etendue.image.crosstalk import Coupling, Crosstalk
from etendue.kernels.crosstalk import subtract_foreign, unmix_amplifiers
from etendue.tasks.task import Task, TaskConfig

_NOBODY: Mapping[int, Segments] = MappingProxyType({})


class CorrectCrosstalkConfig(TaskConfig):
    """Configuration of `CorrectCrosstalkTask`."""

    mask_above: float = Field(5.0, gt=0.0)
    """Pixels corrected by more than this are reported, for the plane CROSSTALK [ADU]: coefficients are known to a few
    percent, and what a saturated aggressor truly held is not known at all."""


class CorrectCrosstalkTask(Task[CorrectCrosstalkConfig]):
    """Take crosstalk out, linear and quadratic.

    The mixture is inverted, not just subtracted: the linear part exactly, the quadratic one to second order in the
    coefficients. Where an aggressor has no value nothing is taken.
    """

    def run(
        self, segments: Segments, crosstalk: Crosstalk, partners: Mapping[int, Segments] = _NOBODY
    ) -> NDArray[np.bool_] | None:
        """Correct all amplifiers.

        Parameters
        ----------
        segments : Segments
            Pixels above overscan and bias [ADU], changed in place.
        crosstalk : Crosstalk
            Coefficients.
        partners : mapping of int to Segments, optional
            Other detectors of the same exposure, above overscan and bias, by id; a detector of ``crosstalk.partners``
            that is left out is not corrected for.

        Returns
        -------
        ndarray, bool, shape of ``detector.bbox``, or None
            Light-sensitive pixels corrected by more than ``mask_above``; None if there is no crosstalk.

        Raises
        ------
        InputError
            If the coefficients are for other amplifiers.
        """
        _check(crosstalk, segments.detector)
        foreign = [(crosstalk.others[number], partners[number]) for number in crosstalk.partners if number in partners]
        if not crosstalk.own.any and not foreign:
            return None
        marked = np.zeros(segments.array.shape, np.bool_)
        threshold = self.config.mask_above
        for coupling, other in foreign:
            _check_partner(coupling, other)
            subtract_foreign(segments.array, other.array, coupling.linear, coupling.quadratic, threshold, marked)
        if crosstalk.own.any:
            unmix_amplifiers(segments.array, *inverse(crosstalk.own), threshold, marked)
        mask = np.zeros(segments.detector.bbox.shape, np.bool_)
        for number, order in enumerate(segments.orders):
            order.view(mask, segments.detector)[...] = marked[number][order.data]
        return mask


def inverse(own: Coupling) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coefficients that undo a coupling between the amplifiers of one detector.

    Parameters
    ----------
    own : Coupling
        Coefficients of the mixture.

    Returns
    -------
    linear, quadratic : ndarray, float64, shape (n, n)
        ``M - 1`` and ``-M B`` with ``M = inv(1 + A)``: what `unmix_amplifiers` takes.
    """
    one = np.eye(own.linear.shape[0])
    mixing = np.linalg.inv(one + own.linear)
    return mixing - one, -mixing @ own.quadratic


def _check(crosstalk: Crosstalk, detector: Detector) -> None:
    names = tuple(amplifier.name for amplifier in detector.amplifiers)
    if crosstalk.amplifiers != names:
        raise InputError(
            f"crosstalk is not for detector {detector.name}, which has the amplifiers {', '.join(names)}",
            source="crosstalk",
            value=crosstalk.amplifiers,
            remedy="use the crosstalk of this detector",
        )


def _check_partner(coupling: Coupling, partner: Segments) -> None:
    count = len(partner.detector.amplifiers)
    if coupling.linear.shape[1] != count:
        raise InputError(
            f"crosstalk from detector {partner.detector.name}, of {count} amplifiers, has other coefficients",
            source="crosstalk",
            value=coupling.linear.shape,
            remedy="use the crosstalk of this camera",
        )


def crosstalk_of(detector: Detector) -> Crosstalk | None:
    """Return the crosstalk that the camera's description gives.

    Parameters
    ----------
    detector : Detector
        The detector.

    Returns
    -------
    Crosstalk or None
        Linear, without errors; None if the description has none.
    """
    if detector.crosstalk is None:
        return None
    return Crosstalk(tuple(a.name for a in detector.amplifiers), Coupling.of(detector.crosstalk))
