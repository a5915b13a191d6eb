"""Bandpasses ugrizy of our own analytic shape with the LSST's edges and peaks, and a user's own from a table."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.simulate.light.bandpass import Bandpass

Vector = NDArray[np.float64]

BANDS = "ugrizy"
"""The LSST's bands, from blue to red."""

_STEP_NM = 1.0
_TAIL_WIDTHS = 6.0

# Half-power wavelengths [nm], widths of the edges [nm] and throughputs at the blue and red end of the top. The edges
# are those of the camera's filter specification (LSST Science Book, table 2.3); in y the silicon ends the band, in u
# mirrors and glass begin it. The tops are set so that with air at the zenith and 32.4 m**2 the zero points of SMTN-002
# (2021) come out: 26.52, 28.51, 28.36, 28.17, 27.78, 26.82.
_EDGES = {
    "u": (328.0, 393.5, 5.0, 2.0, 0.125, 0.285),
    "g": (401.5, 551.9, 2.0, 2.0, 0.515, 0.585),
    "r": (552.0, 691.0, 2.0, 2.0, 0.605, 0.63),
    "i": (691.0, 818.0, 2.0, 2.0, 0.65, 0.67),
    "z": (818.0, 923.5, 2.0, 2.5, 0.67, 0.61),
    "y": (923.8, 1035.0, 2.5, 18.0, 0.43, 0.205),
}


@cache
def lsst_band(name: str) -> Bandpass:
    """Return one of the bandpasses ugrizy: a sloping top between two logistic edges.

    Parameters
    ----------
    name : str
        One of ``ugrizy``.

    Returns
    -------
    Bandpass
        Filter, three mirrors, lenses and detector; no air.

    Raises
    ------
    InputError
        For another name.
    """
    if name not in _EDGES:
        raise InputError("no such band", value=name, remedy="ugrizy, or a table of wavelengths and throughputs")
    blue, red, blue_width, red_width, left, right = _EDGES[name]
    wave = np.arange(np.floor(blue - _TAIL_WIDTHS * blue_width), red + _TAIL_WIDTHS * red_width, _STEP_NM)
    top = np.interp(wave, [blue, red], [left, right])
    rise = 1.0 / (1.0 + np.exp(-(wave - blue) / (0.4 * blue_width)))
    fall = 1.0 / (1.0 + np.exp((wave - red) / (0.4 * red_width)))
    return Bandpass(name, wave, top * rise * fall)


def read_bandpass(path: Path, name: str) -> Bandpass:
    """Read a bandpass from a text table.

    Parameters
    ----------
    path : Path
        Two columns without a header line, or with ``#`` before it: wavelength [nm] and electrons per photon.
    name : str
        Band.

    Returns
    -------
    Bandpass

    Raises
    ------
    InputError
        If the file holds anything else.
    """
    try:
        table = np.loadtxt(path, ndmin=2, delimiter="," if path.suffix == ".csv" else None)
    except (OSError, ValueError) as error:
        raise InputError("not a table of wavelengths and throughputs", source=path, value=str(error)) from error
    if table.shape[0] < 2 or table.shape[1] != 2 or not np.isfinite(table).all():
        raise InputError("a bandpass has two finite columns and two rows or more", source=path, value=table.shape)
    wave, through = table.T
    if (np.diff(wave) <= 0.0).any() or wave[0] < 200.0 or wave[-1] > 2500.0:
        raise InputError(
            "wavelengths must rise and lie within 200 and 2500 nm",
            source=path,
            value=(float(wave[0]), float(wave[-1])),
            remedy="give them in nm",
        )
    if through.min() < 0.0 or not 0.0 < through.max() <= 1.0:
        raise InputError(
            "throughputs must lie within 0 and 1", source=path, value=(float(through.min()), float(through.max()))
        )
    return Bandpass(name, np.ascontiguousarray(wave), np.ascontiguousarray(through))
