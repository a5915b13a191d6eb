"""Spectra from a user's own table."""

from pathlib import Path

import numpy as np

from etendue.errors import InputError
from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.sed_grid import SedGrid


def read_spectra(path: Path, reference: Bandpass) -> SedGrid:
    """Read spectra from a text table.

    Parameters
    ----------
    path : Path
        Columns: wavelength [nm], then one of flux per wavelength for each spectrum, in any unit.
    reference : Bandpass
        Where every spectrum gets magnitude 0.

    Returns
    -------
    SedGrid
        Parameters: number of the spectrum, from 0, and nothing.

    Raises
    ------
    InputError
        If the file holds anything else.
    """
    try:
        table = np.loadtxt(path, ndmin=2, delimiter="," if path.suffix == ".csv" else None)
    except (OSError, ValueError) as error:
        raise InputError("not a table of wavelengths and fluxes", source=path, value=str(error)) from error
    if table.shape[0] < 2 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise InputError("spectra have two finite columns and two rows or more", source=path, value=table.shape)
    wave, flux = np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1:].T)
    if (np.diff(wave) <= 0.0).any() or flux.min() < 0.0:
        raise InputError("wavelengths must rise and fluxes not be negative", source=path, remedy="sort the rows")
    if (flux @ reference.at(wave) <= 0.0).any():
        raise InputError(
            f"a spectrum has no light in {reference.name}",
            source=path,
            value=(float(wave[0]), float(wave[-1])),
            remedy="give wavelengths in nm that cover the reference band",
        )
    return SedGrid(np.arange(float(len(flux))), np.zeros(1), wave, flux[:, None, :], reference)
