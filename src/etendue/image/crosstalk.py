"""Crosstalk between amplifiers that are read at the same time, within a detector and from others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError

Matrix = NDArray[np.float64]
_PARTS = ("linear", "quadratic", "linear_err", "quadratic_err")
_LARGEST = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Coupling:
    """Coefficients from aggressors to victims: a victim gains ``linear s + quadratic s**2`` of an aggressor's signal.

    Parameters
    ----------
    linear, quadratic : ndarray, float64, shape (n, m)
        ``[victim, aggressor]`` [1, 1/ADU]; 0 where none was found.
    linear_err, quadratic_err : ndarray, float64, shape (n, m), optional
        1-sigma errors; NaN where a coefficient was not measured but said, or where no light told.
    """

    linear: Matrix
    quadratic: Matrix
    linear_err: Matrix
    quadratic_err: Matrix

    @classmethod
    def of(
        cls,
        linear: ArrayLike,
        quadratic: ArrayLike | None = None,
        linear_err: ArrayLike | None = None,
        quadratic_err: ArrayLike | None = None,
    ) -> "Coupling":
        """Return a coupling; parts left out are 0, errors left out NaN.

        Parameters
        ----------
        linear, quadratic, linear_err, quadratic_err
            As of the class.

        Returns
        -------
        Coupling

        Raises
        ------
        InputError
            If the matrices differ in shape, or a coefficient is not finite or above 0.5.
        """
        first = np.asarray(linear, float)
        given = (quadratic, linear_err, quadratic_err)
        others = [
            np.full(first.shape, empty) if part is None else np.asarray(part, float)
            for part, empty in zip(given, (0.0, np.nan, np.nan), strict=True)
        ]
        if first.ndim != 2 or any(part.shape != first.shape for part in others):
            raise InputError(
                "crosstalk matrices differ in shape",
                source="crosstalk",
                value=[part.shape for part in (first, *others)],
                remedy="give [victim, aggressor] matrices of one shape",
            )
        if not (
            np.isfinite(first).all() and np.isfinite(others[0]).all() and np.abs(first).max(initial=0.0) < _LARGEST
        ):
            raise InputError(
                "crosstalk has coefficients that are not finite or too large",
                source="crosstalk",
                value=float(np.abs(first).max(initial=0.0)),
                remedy="measure it anew, or end its validity with 'etendue calib decertify'",
            )
        return cls(first, *others)

    @property
    def any(self) -> bool:
        """Whether a coefficient is not 0."""
        return bool(self.linear.any() or self.quadratic.any())

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; NaN becomes None.

        Returns
        -------
        dict
        """
        return {name: [[v if v == v else None for v in row] for row in getattr(self, name).tolist()] for name in _PARTS}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Coupling":
        """Return the coupling written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`; only ``linear`` is needed.

        Returns
        -------
        Coupling
        """
        parts = {name: np.array(state[name], float) for name in _PARTS if state.get(name) is not None}
        return cls.of(**parts)


@dataclass(frozen=True, slots=True, eq=False)
class Crosstalk:
    """Crosstalk into the amplifiers of one detector.

    Parameters
    ----------
    amplifiers : tuple of str
        The detector's amplifiers in the order of the matrices.
    own : Coupling
        Between them, 0 on the diagonal.
    others : mapping of int to Coupling
        From the amplifiers of other detectors, by their id.
    """

    amplifiers: tuple[str, ...]
    own: Coupling
    others: Mapping[int, Coupling] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "amplifiers", tuple(self.amplifiers))
        n = len(self.amplifiers)
        if self.own.linear.shape != (n, n) or np.diag(self.own.linear).any() or np.diag(self.own.quadratic).any():
            raise InputError(
                f"crosstalk is no matrix of {n} x {n} with zeros on its diagonal",
                source="crosstalk",
                value=self.own.linear.shape,
                remedy="measure it anew",
            )
        for detector, coupling in self.others.items():
            if coupling.linear.shape[0] != n:
                raise InputError(
                    f"crosstalk of detector {detector} is not into {n} amplifiers",
                    source="crosstalk",
                    value=coupling.linear.shape,
                    remedy="measure it anew",
                )

    @property
    def partners(self) -> tuple[int, ...]:
        """Other detectors that talk into this one."""
        return tuple(detector for detector, coupling in self.others.items() if coupling.any)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict.

        Returns
        -------
        dict
        """
        others = {str(detector): coupling.to_dict() for detector, coupling in self.others.items()}
        return {"amplifiers": list(self.amplifiers), "own": self.own.to_dict(), "others": others}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Crosstalk":
        """Return the crosstalk written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        Crosstalk
        """
        others = {int(detector): Coupling.from_dict(part) for detector, part in state.get("others", {}).items()}
        return cls(tuple(state["amplifiers"]), Coupling.from_dict(state["own"]), others)
