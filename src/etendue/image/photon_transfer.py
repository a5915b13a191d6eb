"""The photon-transfer curve of one amplifier, with the covariances of neighbours and what was fitted to them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError

_DIGITS = 7


@dataclass(frozen=True, slots=True, eq=False)
class PhotonTransfer:
    """Variance and covariances by level, and the model of Astier et al. (2019, A&A 629, A36, eq. 20).

    Offsets are ``[rows apart, columns apart]``, from 0 to the largest lag.

    Parameters
    ----------
    signal_adu : ndarray, float64, shape (n,)
        Mean levels above bias [ADU].
    covariance_adu2 : ndarray, float64, shape (n, lag + 1, lag + 1)
        Covariances of two pixels of one flat; the first is the variance [ADU**2].
    covariance_err_adu2 : ndarray, float64, shape (n, lag + 1, lag + 1)
        Their errors [ADU**2].
    used : ndarray, bool, shape (n,)
        Levels that the fit used.
    area, area_err : ndarray, float64, shape (lag + 1, lag + 1)
        ``a`` as this amplifier alone shows it: relative change of a pixel's area for each electron of a charge, and its
        error [1/e].
    area_slope : ndarray, float64, shape (lag + 1, lag + 1)
        ``b``: relative change of ``a`` for each electron of signal [1/e].
    noise_e2 : ndarray, float64, shape (lag + 1, lag + 1)
        ``n``: covariance of the noise without light [e**2].
    chi2_per_dof : float
        Of the variances.
    """

    signal_adu: NDArray[np.float64]
    covariance_adu2: NDArray[np.float64]
    covariance_err_adu2: NDArray[np.float64]
    used: NDArray[np.bool_]
    area: NDArray[np.float64]
    area_err: NDArray[np.float64]
    area_slope: NDArray[np.float64]
    noise_e2: NDArray[np.float64]
    chi2_per_dof: float

    def __post_init__(self) -> None:
        levels, lags = self.signal_adu.shape[:1], self.area.shape
        shapes = dict.fromkeys(("covariance_adu2", "covariance_err_adu2"), levels + lags)
        shapes |= dict.fromkeys(("area_err", "area_slope", "noise_e2"), lags) | {"used": levels}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(f"photon transfer: {name} should have shape {shape}", value=getattr(self, name).shape)

    @property
    def lag(self) -> int:
        """Largest offset [px]."""
        return self.area.shape[0] - 1

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; NaN becomes None, floats have seven digits.

        Returns
        -------
        dict
        """
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "PhotonTransfer":
        """Return the curve written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        PhotonTransfer
        """
        known: dict[str, Any] = {field.name: np.array(state[field.name], np.float64) for field in fields(cls)}
        known |= {"used": known["used"].astype(bool), "chi2_per_dof": float(known["chi2_per_dof"])}
        return cls(**known)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
    return value
