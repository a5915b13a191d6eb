"""How amplifiers deviate from linearity, and what puts it right."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from etendue.errors import InputError

Vector = NDArray[np.float64]
Kind = Literal["polynomial", "spline", "lookup"]
TABLE_STEPS = 1024


@dataclass(frozen=True, slots=True, eq=False)
class AmplifierLinearity:
    """The factor that turns the signal of one amplifier into a linear one: ``corrected = signal * (1 + f(signal))``.

    Parameters
    ----------
    name : str
        Amplifier.
    kind : str
        ``polynomial``: ``values`` are the coefficients of the first, second... power of ``signal / nodes[0]``;
        ``spline``: a cubic spline through ``values`` at ``nodes``; ``lookup``: linear between them.
    nodes, values : ndarray, float64
        Signals [ADU] and deviations ``f``; beyond the last node (the first, of a polynomial) ``f`` keeps its value.
    residual : float
        Standard deviation of the flats about the fit, as a fraction of the signal; NaN if not known.
    """

    name: str
    kind: Kind
    nodes: Vector
    values: Vector
    residual: float = nan

    def __post_init__(self) -> None:
        for field in ("nodes", "values"):
            object.__setattr__(self, field, np.asarray(getattr(self, field), np.float64))
        if self.kind not in get_args(Kind):
            raise InputError("no such kind of linearizer", source=self.name, value=self.kind,
                             remedy=f"there are {', '.join(get_args(Kind))}")  # fmt: skip
        if not (np.isfinite(self.nodes).all() and np.isfinite(self.values).all()):
            raise InputError("linearizer holds a value that is not finite", source=self.name)
        even = self.nodes.size == (1 if self.kind == "polynomial" else self.values.size)
        fewest = {"polynomial": 1, "spline": 4, "lookup": 2}[self.kind]
        if not even or self.values.size < fewest or self.nodes[0] < 0.0 or (np.diff(self.nodes) <= 0.0).any():
            raise InputError(
                f"nodes of a {self.kind} linearizer do not fit", source=self.name, value=self.nodes.tolist()
            )

    @property
    def top(self) -> float:
        """Signal above which the deviation keeps its value [ADU]."""
        return float(self.nodes[-1])

    def deviation(self, signal: Vector) -> Vector:
        """Return ``f``.

        Parameters
        ----------
        signal : ndarray, float64, shape (n,)
            Signals above bias [ADU]; below 0 counts as 0, NaN stays.

        Returns
        -------
        ndarray, float64, shape (n,)
        """
        x = np.clip(signal, 0.0, self.top)
        if self.kind == "polynomial":
            return np.asarray(np.polynomial.polynomial.polyval(x / self.top, (0.0, *self.values)), float)
        if self.kind == "spline":
            return np.asarray(CubicSpline(self.nodes, self.values)(x))
        return np.asarray(np.interp(x, self.nodes, self.values))

    def corrected(self, signal: Vector) -> tuple[Vector, Vector]:
        """Return linear signals and the slope of the correction.

        Parameters
        ----------
        signal : ndarray, float64, shape (n,)
            Signals above bias [ADU].

        Returns
        -------
        corrected, slope : ndarray, float64, shape (n,)
            Signal [ADU] and its derivative.
        """
        step = 1e-3 * self.top
        ahead, behind = signal + step, signal - step
        slope = (ahead * (1.0 + self.deviation(ahead)) - behind * (1.0 + self.deviation(behind))) / (2.0 * step)
        return signal * (1.0 + self.deviation(signal)), slope

    def table(self) -> tuple[NDArray[np.float32], float]:
        """Return the factors at even steps from 0 to `top`, for pixels.

        Returns
        -------
        factors : ndarray, float32, shape (n,)
            ``1 + f``.
        step : float
            [ADU].
        """
        step = self.top / TABLE_STEPS
        return (1.0 + self.deviation(np.linspace(0.0, self.top, TABLE_STEPS + 1))).astype(np.float32), step


@dataclass(frozen=True, slots=True)
class Linearizer:
    """Linearity of all amplifiers of one detector.

    Parameters
    ----------
    amplifiers : tuple of AmplifierLinearity
        One entry for each.
    """

    amplifiers: tuple[AmplifierLinearity, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "amplifiers", tuple(self.amplifiers))

    def __getitem__(self, name: str) -> AmplifierLinearity:
        """Return the entry of an amplifier."""
        for amplifier in self.amplifiers:
            if amplifier.name == name:
                return amplifier
        known = ", ".join(amplifier.name for amplifier in self.amplifiers)
        raise InputError("linearizer has no such amplifier", value=name, remedy=f"it has {known}")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; NaN becomes None.

        Returns
        -------
        dict
        """
        return {
            "amplifiers": [
                {"name": a.name, "kind": a.kind, "nodes": a.nodes.tolist(), "values": a.values.tolist(),
                 "residual": a.residual if np.isfinite(a.residual) else None}
                for a in self.amplifiers
            ]
        }  # fmt: skip

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Linearizer":
        """Return the linearizer written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        Linearizer
        """
        return cls(
            tuple(
                AmplifierLinearity(e["name"], e["kind"], np.array(e["nodes"]), np.array(e["values"]),
                                   nan if e["residual"] is None else e["residual"])
                for e in state["amplifiers"]
            )
        )  # fmt: skip
