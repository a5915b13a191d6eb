"""The TPV distortion polynomial (PVi_m header terms)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.polynomial import Polynomial2D

# PVi_m of axis 1 -> powers (p, q) of xi and eta; axis 2 swaps xi and eta. Terms 3, 11, 23, 39 are
# r, r**3, r**5, r**7 (TPV registry document).
_RADIAL_TERMS = {3: 0, 11: 1, 23: 2, 39: 3}
_RADIAL_POWERS = (1, 3, 5, 7)


def _term_powers() -> dict[int, tuple[int, int]]:
    terms, index = {}, 0
    for order in range(8):
        for q in range(order + 1):
            terms[index] = (order - q, q)
            index += 1
        if order % 2:
            index += 1  # the radial term of this odd order
    return terms


_TERM_POWERS = _term_powers()
_SIZE = 8


@dataclass(frozen=True, eq=False)
class TpvPolynomial:
    """Two polynomials that give the standard coordinates from the linear ones [deg].

    Parameters
    ----------
    xi, eta : Polynomial2D
        ``xi' = xi_poly(xi, eta)`` and ``eta' = eta_poly(xi, eta)``, linear terms included [deg].
    radial : array_like, float64, shape (2, 4)
        Coefficients of r, r**3, r**5, r**7 added to ``xi'`` (row 0) and ``eta'`` (row 1).
    """

    xi: Polynomial2D
    eta: Polynomial2D
    radial: NDArray[np.float64]

    def __post_init__(self) -> None:
        radial = np.array(self.radial, dtype=np.float64)
        if radial.shape != (2, 4):
            raise InputError("TPV radial terms must have shape (2, 4)", value=radial.shape)
        radial.flags.writeable = False
        object.__setattr__(self, "radial", radial)

    @classmethod
    def from_terms(cls, pv1: Mapping[int, float], pv2: Mapping[int, float]) -> "TpvPolynomial":
        """Return the polynomial of header terms.

        Parameters
        ----------
        pv1, pv2 : mapping of int to float
            Term number ``m`` -> ``PV1_m`` and ``PV2_m``; a missing term 1 counts as 1, others as 0.

        Returns
        -------
        TpvPolynomial

        Raises
        ------
        InputError
            If a term number is above 39.
        """
        matrices, radial = np.zeros((2, _SIZE, _SIZE)), np.zeros((2, 4))
        for axis, terms in enumerate((pv1, pv2)):
            for number, value in {1: 1.0, **terms}.items():
                if number in _RADIAL_TERMS:
                    radial[axis, _RADIAL_TERMS[number]] = value
                elif number in _TERM_POWERS:
                    p, q = _TERM_POWERS[number]
                    matrices[axis][(p, q) if axis == 0 else (q, p)] = value
                else:
                    raise InputError(f"TPV has no term PV{axis + 1}_{number}", value=value)
        return cls(Polynomial2D(matrices[0]), Polynomial2D(matrices[1]), radial)

    def rotated(self, rotation: NDArray[np.float64]) -> "TpvPolynomial":
        """Return the polynomial whose standard coordinates are turned afterwards.

        Parameters
        ----------
        rotation : ndarray, float64, shape (2, 2)
            Matrix that multiplies ``(xi', eta')``.

        Returns
        -------
        TpvPolynomial
        """
        both = np.einsum("ij,jpq->ipq", rotation, np.stack([self.xi.coefficients, self.eta.coefficients]))
        return TpvPolynomial(Polynomial2D(both[0]), Polynomial2D(both[1]), rotation @ self.radial)

    def __call__(
        self, xi: NDArray[np.float64], eta: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the standard coordinates [deg] of the linear ones [deg]."""
        out_xi, out_eta = self.xi(xi, eta), self.eta(xi, eta)
        if self.radial.any():
            r = np.hypot(xi, eta)
            powers = np.stack([r**p for p in _RADIAL_POWERS], axis=-1)
            out_xi, out_eta = out_xi + powers @ self.radial[0], out_eta + powers @ self.radial[1]
        return out_xi, out_eta

    def jacobian(self, xi: NDArray[np.float64], eta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivative of the standard coordinates.

        Parameters
        ----------
        xi, eta : ndarray, float64
            Linear intermediate coordinates [deg].

        Returns
        -------
        ndarray, float64, shape (..., 2, 2)
            d(xi', eta')/d(xi, eta); the radial part counts as 0 at the origin.
        """
        rows = [np.stack(polynomial.gradient(xi, eta), axis=-1) for polynomial in (self.xi, self.eta)]
        result = np.stack(rows, axis=-2)
        if self.radial.any():
            r = np.hypot(xi, eta)
            safe = np.where(r > 0.0, r, 1.0)
            direction = np.stack([xi / safe, eta / safe], axis=-1)
            slopes = np.stack([p * r ** (p - 1) for p in _RADIAL_POWERS], axis=-1) @ self.radial.T
            result = result + slopes[..., :, None] * direction[..., None, :]
        return np.asarray(result)

    def to_dict(self) -> dict[str, Any]:
        """Return the exact coefficients as a JSON-able dict.

        Returns
        -------
        dict
        """
        return {
            "xi": self.xi.coefficients.tolist(),
            "eta": self.eta.coefficients.tolist(),
            "radial": self.radial.tolist(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "TpvPolynomial":
        """Return the polynomial written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        TpvPolynomial
        """
        return cls(Polynomial2D(np.array(state["xi"])), Polynomial2D(np.array(state["eta"])), np.array(state["radial"]))
