"""The parts of an exposure as JSON rows of a table and as small array extensions."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.aperture_correction import corrections_from_states
from etendue.image.background import Background
from etendue.image.exposure import Exposure
from etendue.image.noise import NoiseAutocorrelation
from etendue.image.photo_calib import PhotoCalib
from etendue.image.valid_polygon import Polygon
from etendue.image.visit_info import VisitInfo

Arrays = dict[str, NDArray[Any]]
PLAIN_PARTS = ("band", "physical_filter", "detector", "unit", "metadata")
PARTS_EXTENSION = "PARTS"


def parts_to_states(exposure: Exposure) -> tuple[dict[str, Any], Arrays]:
    """Return what is known about an exposure besides its pixels.

    Parameters
    ----------
    exposure : Exposure
        With any parts.

    Returns
    -------
    states : dict of str to object
        JSON-able, by part name; absent parts are left out.
    arrays : dict of str to ndarray
        Arrays too large for JSON, by extension name.
    """
    states: dict[str, Any] = {name: getattr(exposure, name) for name in PLAIN_PARTS}
    states["inputs"] = [dict(one) for one in exposure.inputs]
    states["aperture_corrections"] = [[name, c.to_dict()] for name, c in sorted(exposure.aperture_corrections.items())]
    arrays: Arrays = {}
    for name in ("wcs", "photo_calib", "visit_info"):
        part = getattr(exposure, name)
        if part is not None:
            states[name] = part.to_dict()
    if exposure.noise is not None:
        states["noise"] = exposure.noise.kernel.tolist()
    if exposure.valid_polygon is not None:
        states["valid_polygon"] = exposure.valid_polygon.to_list()
    if exposure.background is not None:
        states["background"] = {k: v for k, v in exposure.background.to_dict().items() if k != "values"}
        arrays["BACKGROUND"] = exposure.background.values
    if exposure.psf is not None:
        kind, parameters, psf_arrays = exposure.psf.to_parts()
        states["psf"] = {"kind": kind, "parameters": parameters, "arrays": sorted(psf_arrays)}
        arrays.update({f"PSF_{name.upper()}": np.asarray(psf_arrays[name]) for name in sorted(psf_arrays)})
    return states, arrays


def parts_hdus(states: Mapping[str, Any], arrays: Arrays) -> list[fits.hdu.base.ExtensionHDU]:
    """Return the table of JSON parts and the array extensions.

    Parameters
    ----------
    states, arrays : dict
        From `parts_to_states`.

    Returns
    -------
    list of HDU
    """
    texts = [np.frombuffer(_json(state).encode(), dtype=np.uint8) for state in states.values()]
    column = np.empty(len(texts), dtype=object)
    column[:] = texts
    columns = [
        fits.Column(name="name", format="32A", array=np.array(list(states))),
        fits.Column(name="json", format="PB()", array=column),
    ]
    table = fits.BinTableHDU.from_columns(columns, name=PARTS_EXTENSION)
    return [table, *(fits.ImageHDU(np.ascontiguousarray(array), name=name) for name, array in arrays.items())]


def read_states(hdus: fits.HDUList) -> dict[str, Any]:
    """Return the JSON parts of a file.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        Open file.

    Returns
    -------
    dict of str to object
    """
    table = hdus[PARTS_EXTENSION].data
    return {str(name).strip(): json.loads(bytes(text)) for name, text in zip(table["name"], table["json"], strict=True)}


def read_part(hdus: fits.HDUList, states: Mapping[str, Any], name: str) -> Any:
    """Return one part of an exposure.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        Open file.
    states : mapping
        From `read_states`.
    name : str
        An `Exposure` keyword other than image, mask and variance.

    Returns
    -------
    object
        The part; None if the file has none, an empty container for inputs and corrections.

    Raises
    ------
    InputError
        If exposures have no such part.
    """
    if name in PLAIN_PARTS:
        return states[name]
    if name not in _READERS:
        known = ", ".join(["image", "mask", "variance", "bbox", *_READERS, *PLAIN_PARTS])
        raise InputError("exposures have no such component", value=name, remedy=f"use one of {known}")
    if name not in states:
        return None
    return _READERS[name](hdus, states[name])


def _read_psf(hdus: fits.HDUList, state: Mapping[str, Any]) -> Any:
    from etendue.image.psf import psf_from_parts

    arrays = {name: _native(hdus[f"PSF_{name.upper()}"].data) for name in state["arrays"]}
    return psf_from_parts(state["kind"], state["parameters"], arrays)


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return np.array(array, dtype=array.dtype.newbyteorder("="))


_READERS: dict[str, Callable[[fits.HDUList, Any], Any]] = {
    "psf": _read_psf,
    "wcs": lambda _, state: SkyWcs.from_dict(state),
    "photo_calib": lambda _, state: PhotoCalib.from_dict(state),
    "background": lambda hdus, state: Background.from_dict({**state, "values": _native(hdus["BACKGROUND"].data)}),
    "aperture_corrections": lambda _, state: corrections_from_states(state),
    "noise": lambda _, state: NoiseAutocorrelation(np.array(state)),
    "visit_info": lambda _, state: VisitInfo.from_dict(state),
    "inputs": lambda _, state: tuple(state),
    "valid_polygon": lambda _, state: Polygon.from_list(state),
}
PART_NAMES = (*_READERS, *PLAIN_PARTS)


def _json(state: Any) -> str:
    return json.dumps(state, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    """Turn numpy scalars and arrays, and read-only mappings, into what JSON knows."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise InputError("exposure metadata cannot be written as JSON", value=type(value).__name__)
