"""Make brighter-fatter corrections from the covariances of flats."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError, InputError
from etendue.image.brighter_fatter import BrighterFatterKernel, PixelBoundaries
from etendue.image.ptc import Ptc
from etendue.tasks.calib.covariance_fit import mirrored
from etendue.tasks.calib.electrostatics import Electrostatics, fit_electrostatics, refine_boundaries
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]


class MeasureBrighterFatterConfig(TaskConfig):
    """Configuration of `MeasureBrighterFatterTask`."""

    freedom: float = Field(0.2, ge=0.0)
    """How far single boundaries may depart from the electrostatic model, as a fraction."""


@dataclass(frozen=True, slots=True, eq=False)
class BrighterFatterProducts:
    """Both kinds of correction of one detector, and what they were made from."""

    kernel: BrighterFatterKernel
    """Scalar kernel."""

    boundaries: PixelBoundaries
    """Boundaries of pixels."""

    model: Electrostatics
    """The fit that the boundaries stay close to."""

    area: Vector
    """Mean ``a`` of the amplifiers, shape (lag + 1, lag + 1) [1/e]."""

    area_err: Vector
    """Its errors [1/e]."""


class MeasureBrighterFatterTask(Task[MeasureBrighterFatterConfig]):
    """From the areas ``a`` of a photon-transfer fit to boundaries and to a scalar kernel.

    Areas alone do not say which boundary moved. The boundaries are those near a charge between two planes, each free to
    depart a little where the areas ask for it. The kernel takes the field without curl: it is the solution of the
    Poisson problem whose source are the areas of those boundaries, which are the measured ones without their noise at
    far offsets, and whose sum is 0 (Coulton et al. 2018, AJ 155, 258); it is solved exactly, not by relaxation.
    """

    def run(self, ptc: Ptc) -> BrighterFatterProducts:
        """Make the products of one detector.

        Parameters
        ----------
        ptc : Ptc
            With curves of at least one amplifier.

        Returns
        -------
        BrighterFatterProducts

        Raises
        ------
        InputError
            If no amplifier has a curve, or their lags differ or are less than 2.
        AlgorithmError
            If flats show no brighter-fatter effect, or the opposite.
        """
        curves = [amplifier.transfer for amplifier in ptc.amplifiers if amplifier.transfer is not None]
        if not curves or curves[0].lag < 2 or len({curve.lag for curve in curves}) > 1:
            raise InputError("ptc holds no covariances of one lag, at least 2",
                             remedy="build it from pairs of flats at many levels")  # fmt: skip
        weight = np.array([curve.area_err**-2.0 for curve in curves])
        area = np.average([curve.area for curve in curves], axis=0, weights=weight)
        error = weight.sum(axis=0) ** -0.5
        if not -area[0, 0] > 3.0 * error[0, 0]:
            raise AlgorithmError(
                "Flats show no brighter-fatter effect", area=float(area[0, 0]), error=float(error[0, 0])
            )
        model, reach = fit_electrostatics(area, error)
        expected = model.boundaries(min(reach, area.shape[0] - 1))
        near = slice(
            0, reach + 1 if reach < expected.reach else expected.reach
        )  # the last ring grows if the field ends
        boundaries = refine_boundaries(expected, area[near, near], error[near, near], freedom=self.config.freedom)
        return BrighterFatterProducts(solve_kernel(boundaries.area()), boundaries, model, area, error)


def solve_kernel(area: Vector) -> BrighterFatterKernel:
    """Solve the Poisson problem: the five-point Laplacian of the kernel is ``a``, the kernel 0 outside.

    Parameters
    ----------
    area : ndarray, float64, shape (lag + 1, lag + 1)
        ``a``, of zero sum over the whole plane [1/e].

    Returns
    -------
    BrighterFatterKernel
    """
    full = mirrored(area)
    size = full.shape[0]
    line = np.diag(np.full(size, -2.0)) + np.diag(np.ones(size - 1), 1) + np.diag(np.ones(size - 1), -1)
    laplacian = np.kron(line, np.eye(size)) + np.kron(np.eye(size), line)
    kernel = np.linalg.solve(laplacian, full.ravel()).reshape(full.shape)
    lag = area.shape[0] - 1
    return BrighterFatterKernel(kernel[lag:, lag:])
