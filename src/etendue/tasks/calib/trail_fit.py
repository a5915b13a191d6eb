"""Losses of charge from the trails that flats leave in the overscan."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from etendue.image.charge_transfer import TransferLoss
from etendue.kernels.charge_transfer import defer_columns

Matrix = NDArray[np.float64]
_NAMES = ("inefficiency", "release_px", "trap_electrons", "trap_release_px", "trap_fill")
_SCALE = np.array([1e-6, 1.0, 1.0, 1.0, 1.0])
_LOWEST = np.array([0.0, 0.15, 0.0, 0.5, 1e-3])
_HIGHEST = np.array([5e3, 20.0, 1e4, 100.0, 0.95])
_START = np.array([1.0, 0.6, 3.0, 3.0, 0.1])
_FILLS = np.geomspace(4e-3, 0.8, 12)
_KNOWN = 0.4  # of the logarithm: a share known better than this is fitted,
_TRIED = 4  # from this many of the best starts


@dataclass(frozen=True, slots=True, eq=False)
class Trails:
    """Deferred charge behind the light of flats, for some frames of one amplifier.

    Parameters
    ----------
    light : ndarray, float32, shape (n, transfers)
        Charge of the pixels read before, prescan included, the last light last [e].
    trail : ndarray, float64, shape (n, k)
        Charge of the pixels behind them, in the order of reading, above what they have without light [e].
    error : ndarray, float64, shape (n, k)
        Its 1-sigma error [e].
    far : slice
        Pixels of the trail whose mean was subtracted; empty if none was.
    zero_error : ndarray, float64, shape (k,)
        Error of what the pixels have without light, common to all frames [e]; NaN where no frames without light say it,
        so that a trap of fixed size cannot be seen.
    """

    light: NDArray[np.float32]
    trail: Matrix
    error: Matrix
    far: slice
    zero_error: Matrix


def fit_trails(trails: Trails, significance: float) -> TransferLoss:
    """Fit the losses that leave such trails.

    The model is `charge_transfer.defer_columns` itself. The share of charge that the trap takes is scanned first:
    bright flats fill the trap whatever it is. If there is hardly more than a lower limit, its mean in the logarithm is
    taken.

    Parameters
    ----------
    trails : Trails
        Trails of flats over a range of signals.
    significance : float
        A trap smaller than this times its error is left out [sigma].

    Returns
    -------
    TransferLoss
    """
    plain = _loss(trails, *_fit(trails, 2, np.array([*_START[:2], 0.0, *_START[3:]])))
    if not np.isfinite(trails.zero_error).all():
        return plain
    starts = [_fit(trails, 4, np.append(_START[:4], fill)) for fill in _FILLS]
    chi2 = np.array([_chi2(trails, *start) for start in starts])
    likely = np.exp(-0.5 * (chi2 - chi2.min()) / max(chi2.min() / _freedom(trails, 4), 1.0))
    likely /= likely.sum()
    mean = float(np.sum(likely * np.log(_FILLS)))
    spread = float(np.sqrt(np.sum(likely * (np.log(_FILLS) - mean) ** 2)))
    fill = float(np.exp(mean))
    best = starts[int(np.argmin(chi2))][0]
    if spread < _KNOWN:
        others = [_fit(trails, 5, starts[k][0]) for k in np.argsort(chi2)[:_TRIED]]
        loss = _loss(trails, *min(others, key=lambda fit: _chi2(trails, *fit)))
    else:
        fit = _fit(trails, 4, np.append(best[:4], fill))
        loss = replace(_loss(trails, *fit), trap_fill=fill, trap_fill_err=fill * spread)
    return loss if loss.trap_electrons > significance * loss.trap_electrons_err else plain


def _fit(trails: Trails, count: int, start: Matrix) -> tuple[Matrix, Matrix]:
    """Return all parameters, of which the first ones are fitted, and the derivatives of the residuals by those."""
    fixed = start[count:]
    first = np.clip(start[:count], _LOWEST[:count] + 1e-6, _HIGHEST[:count] - 1e-6)

    def residual(values: Matrix) -> Matrix:
        return _residual(trails, np.append(values, fixed)).ravel()

    fit = least_squares(
        residual, first, bounds=(_LOWEST[:count], _HIGHEST[:count]), x_scale=_START[:count], diff_step=1e-3,
        loss="soft_l1", f_scale=3.0,
    )  # fmt: skip
    return np.append(fit.x, fixed), fit.jac


def _residual(trails: Trails, values: Matrix) -> Matrix:
    """Return trails less those of the model, over their errors."""
    inefficiency, release_px, size, trap_px, fill = values * _SCALE
    release, empty = (1.0 - np.exp(-1.0 / px) for px in (release_px, trap_px))
    light = np.pad(trails.light, ((0, 0), (0, trails.trail.shape[1])))
    defer_columns(light, inefficiency, release, size, fill, empty)
    model = light[:, trails.light.shape[1] :].astype(np.float64)
    if trails.far.stop > trails.far.start:
        model -= model[:, trails.far].mean(axis=1, keepdims=True)
    return (trails.trail - model) / trails.error


def _chi2(trails: Trails, values: Matrix, _: Matrix) -> float:
    return float(np.sum(np.minimum(_residual(trails, values) ** 2, 25.0)))


def _freedom(trails: Trails, count: int) -> int:
    return max(trails.trail.size - count, 1)


def _loss(trails: Trails, values: Matrix, slopes: Matrix) -> TransferLoss:
    count = slopes.shape[1]
    chi2 = _chi2(trails, values, slopes) / _freedom(trails, count)
    normal = slopes.T @ slopes  # what the trails do not depend on is not known, rather than known exactly
    covariance = np.linalg.inv(normal + 1e-12 * np.diag(np.diag(normal)) + 1e-12 * np.eye(count))
    # An error of the zero point shifts the trails of all frames alike.
    common = np.einsum("fkp,fk->pk", slopes.reshape(*trails.trail.shape, count), 1.0 / trails.error)
    shift = covariance @ common * np.nan_to_num(trails.zero_error)
    error = np.sqrt(np.diag(covariance) * max(chi2, 1.0) + np.sum(shift**2, axis=1))
    known = {name: float(value) for name, value in zip(_NAMES, values * _SCALE, strict=True)}
    known |= {f"{name}_err": float(value) for name, value in zip(_NAMES, error * _SCALE[:count], strict=False)}
    return TransferLoss(**known, chi2=chi2)
