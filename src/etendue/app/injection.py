"""Add synthetic sources to images, and measure what becomes of them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table as AstropyTable
from numpy.typing import NDArray

from etendue.app.processing.frame_camera import camera_of
from etendue.camera.raw import read_raw, write_raw
from etendue.disk import whole_folder
from etendue.errors import InputError
from etendue.image.exposure import Exposure
from etendue.image.fits_exposure import read_exposure, write_exposure
from etendue.qa.transfer_curve import TransferCurve, transfer_curve
from etendue.qa.transfer_plot import transfer_plot
from etendue.tasks.characterize.transfer import MeasureTransferTask, TransferConfig, TransferResult
from etendue.tasks.inject.catalog import InjectionCatalog
from etendue.tasks.inject.inject import InjectTask
from etendue.tasks.inject.inject_raw import InjectRawTask

Progress = Callable[[int, int], None]

_STEP_MAG = 0.5
_SHAPES = {"half_light_radius": np.geomspace(0.1, 3.0, 8), "blendedness": np.array([0.0, 0.01, 0.05, 0.2, 0.5, 1.0])}


def read_injection_catalog(path: Path) -> InjectionCatalog:
    """Read a catalog of sources to inject.

    Parameters
    ----------
    path : Path
        Anything that astropy reads as a table (CSV, ECSV, FITS, Parquet, VOTable), with columns as of
        `InjectionCatalog`.

    Returns
    -------
    InjectionCatalog

    Raises
    ------
    InputError
        If it cannot be read, lacks a column or holds a value out of range.
    """
    try:
        table = AstropyTable.read(path)
    except FileNotFoundError:
        raise InputError("does not exist", source=path) from None
    except Exception as error:  # astropy raises what its readers raise
        raise InputError("cannot be read as a table", source=path, value=" ".join(str(error).split())[:80],
                         remedy="give CSV, FITS, Parquet or VOTable") from error  # fmt: skip
    try:
        return InjectionCatalog.from_columns({name: np.asarray(table[name]) for name in table.colnames})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (TypeError, ValueError) as error:
        raise InputError("holds text where numbers must be", source=path, value=str(error)[:80]) from None


def inject_image(image: Path, catalog: Path, out: Path, *, seed: int = 0) -> int:
    """Write an image with the sources of a catalog added.

    Parameters
    ----------
    image : Path
        FITS file of an exposure.
    catalog : Path
        As for `read_injection_catalog`.
    out : Path
        New FITS file.
    seed : int
        Of the photon noise.

    Returns
    -------
    int
        Number of sources on the image.

    Raises
    ------
    InputError
        If a file cannot be used, or ``out`` exists.
    """
    _is_new(out)
    result = InjectTask().run(exposure=read_exposure(image), catalog=read_injection_catalog(catalog), seed=seed)
    write_exposure(result.exposure, out)
    return int(result.columns["x"].size)


def inject_raw(
    frame: Path, like: Path, catalog: Path, out: Path, *, camera: str | None = None, flat: Path | None = None,
    seed: int = 0,
) -> int:  # fmt: skip
    """Write a raw frame with the sources of a catalog added.

    Parameters
    ----------
    frame : Path
        Raw frame.
    like : Path
        FITS file of what it became when it was calibrated.
    catalog : Path
        As for `read_injection_catalog`.
    out : Path
        New FITS file.
    camera : str, optional
        Shipped camera or YAML file; recognised by default.
    flat : Path, optional
        Master flat that the frame will be divided by.
    seed : int
        Of the photon noise.

    Returns
    -------
    int
        Number of sources on the frame.

    Raises
    ------
    InputError
        If a file cannot be used, or ``out`` exists.
    """
    _is_new(out)
    exposure = read_exposure(like)
    used, _ = camera_of(frame, camera)
    raw = read_raw(frame, used, detector=exposure.detector)
    result = InjectRawTask().run(
        raw=raw, camera=used, like=exposure, catalog=read_injection_catalog(catalog),
        flat=None if flat is None else read_exposure(flat), seed=seed,
    )  # fmt: skip
    write_raw(result.raw, out, used)
    return int(result.columns["x"].size)


@dataclass(frozen=True, eq=False)
class Transfer:
    """What becomes of sources on some images.

    Parameters
    ----------
    columns : dict of str to ndarray
        Every source that was added, see `TransferResult`; ``image`` counts the images.
    depth_mag : float
        Magnitude of stars of S/N 5, median of the images.
    stars, galaxies : TransferCurve
        Against magnitude, by PSF flux and by the flux within 12 px.
    by_radius, by_blendedness : TransferCurve
        Of galaxies against half-light radius, of stars against light that was there before.
    """

    columns: dict[str, NDArray[Any]]
    depth_mag: float
    stars: TransferCurve
    galaxies: TransferCurve
    by_radius: TransferCurve
    by_blendedness: TransferCurve

    def summary(self) -> dict[str, Any]:
        """Return the figures, JSON-able."""
        return {
            "depth_mag": self.depth_mag,
            "star_mag_50": self.stars.crossing(0.5),
            "star_mag_90": self.stars.crossing(0.9),
            "galaxy_mag_50": self.galaxies.crossing(0.5),
            "stars": self.stars.rows(),
            "galaxies": self.galaxies.rows(),
            "by_half_light_radius": self.by_radius.rows(),
            "by_blendedness": self.by_blendedness.rows(),
        }

    def write(self, folder: Path) -> None:
        """Write ``sources.parquet``, ``transfer.json`` and ``transfer.png`` into a new folder.

        Parameters
        ----------
        folder : Path
            Appears whole or not at all.

        Raises
        ------
        InputError
            If it exists.
        """
        _is_new(folder)
        with whole_folder(folder, "transfer") as partial:
            pq.write_table(pa.table(self.columns), partial / "sources.parquet")
            (partial / "transfer.json").write_text(json.dumps(self.summary(), indent=1))
            curves = {"stars (PSF flux)": self.stars, "galaxies (12 px)": self.galaxies}
            (partial / "transfer.png").write_bytes(transfer_plot(curves))


def measure_transfer(
    images: list[Path], *, config: TransferConfig | None = None, seed: int = 1, progress: Progress | None = None
) -> Transfer:
    """Add stars and galaxies to images, measure them, and sum up.

    Parameters
    ----------
    images : list of Path
        FITS files of exposures: visit images, coadds.
    config : TransferConfig, optional
        What is added, and how it is measured.
    seed : int
        Of everything random.
    progress : callable, optional
        Told how many of how many rounds are done.

    Returns
    -------
    Transfer

    Raises
    ------
    InputError, AlgorithmError
        If a file cannot be used, or an image not be measured.
    """
    config, found = config or TransferConfig(), []
    for k, image in enumerate(images):

        def told(done: int, _: int, before: int = k * config.rounds) -> None:
            if progress is not None:
                progress(before + done, len(images) * config.rounds)

        found.append(MeasureTransferTask(config).run(exposure=_read(image), seed=seed + k, progress=told))
    return summed_up(found)


def summed_up(found: list[TransferResult]) -> Transfer:
    """Sum up the sources of several images.

    Parameters
    ----------
    found : list of TransferResult
        One for each.

    Returns
    -------
    Transfer
    """
    columns = {
        name: np.concatenate([one.columns[name] for one in found])
        for name in found[0].columns
        if all(name in one.columns for one in found)
    }
    columns["image"] = np.repeat(np.arange(len(found)), [one.columns["mag"].size for one in found])
    star, mag = columns["half_light_radius"] == 0.0, columns["mag"]
    edges = np.arange(np.floor(mag.min() / _STEP_MAG), np.ceil(mag.max() / _STEP_MAG) + 1) * _STEP_MAG
    return Transfer(
        columns=columns,
        depth_mag=float(np.median([one.depth_mag for one in found])),
        stars=transfer_curve(columns, edges, use=star),
        galaxies=transfer_curve(columns, edges, flux="ap12Flux", use=~star),
        by_radius=transfer_curve(
            columns, _SHAPES["half_light_radius"], flux="ap12Flux", by="half_light_radius", use=~star
        ),
        by_blendedness=transfer_curve(columns, _SHAPES["blendedness"], by="blendedness", use=star),
    )


def _read(image: Path) -> Exposure:
    exposure = read_exposure(image)
    if exposure.psf is None or exposure.wcs is None:
        raise InputError("has no PSF or no WCS", source=image, remedy="give a visit image or a coadd")
    return exposure


def _is_new(path: Path) -> None:
    if path.exists():
        raise InputError("exists", source=path, remedy="choose another name, or delete it")
