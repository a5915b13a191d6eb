"""Random streams of one detector or of one exposure, by purpose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.random_streams import stream


@dataclass(frozen=True, slots=True)
class Streams:
    """Where the random numbers of each effect come from: no effect disturbs those of another.

    Parameters
    ----------
    seed : int
        Seed, not negative.
    keys : tuple of int
        What the numbers are of, such as the detector.
    """

    seed: int
    keys: tuple[int, ...] = ()

    @classmethod
    def of(cls, rng: np.random.Generator) -> "Streams":
        """Return the streams of one exposure; one number is drawn from the generator.

        Parameters
        ----------
        rng : Generator
            The exposure's own.

        Returns
        -------
        Streams
        """
        return cls(int(rng.integers(2**63)))

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the generator of one purpose.

        Parameters
        ----------
        purpose : str
            Name.

        Returns
        -------
        numpy.random.Generator
        """
        return stream(self.seed, f"ccd {purpose}", *self.keys)

    def words(self, purpose: str, count: int) -> NDArray[np.uint64]:
        """Return random words, the states of a kernel's rows.

        Parameters
        ----------
        purpose : str
            Name.
        count : int
            Number of words.

        Returns
        -------
        ndarray, uint64, shape (count,)
        """
        return self.rng(purpose).integers(0, 2**64, count, dtype=np.uint64)
