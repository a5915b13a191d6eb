"""One number of a calibration product with its limits."""

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """One number of a product, and whether it lies within its limits.

    Parameters
    ----------
    product : str
        Dataset type.
    what : str
        The number, with its unit.
    where : str
        Amplifier, filter, or empty.
    value : float
        The number.
    low, high : float
        Limits.
    worst : str
        For numbers that come from frames: the frame that is farthest off, and its number.
    frames : int
        How many frames it comes from; 0 for a number of the product itself.
    """

    product: str
    what: str
    where: str
    value: float
    low: float
    high: float
    worst: str = ""
    frames: int = 0

    @property
    def passed(self) -> bool:
        """Whether the number is finite and within its limits."""
        return isfinite(self.value) and self.low <= self.value <= self.high

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; unbounded limits and unknown numbers are None.

        Returns
        -------
        dict
        """
        numbers = {k: v if not isinstance(v, float) or isfinite(v) else None for k, v in asdict(self).items()}
        return numbers | {"passed": self.passed}
