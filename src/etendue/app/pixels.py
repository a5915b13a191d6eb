"""Sources of an image in one call: a NumPy array, an exposure, a file, or an image of Rubin's package."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table as AstropyTable
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.background import Background
from etendue.image.exposure import Exposure
from etendue.image.fits_exposure import read_exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.psf import Psf
from etendue.tasks.characterize.characterize import CharacterizeConfig, CharacterizeTask
from etendue.tasks.measure.aperture_corrections import corrected
from etendue.tasks.measure.measure import MeasureConfig, MeasureTask
from etendue.tasks.measure.source_columns import SourceColumns

ALL_MEASUREMENTS = (
    "apertures", "moments", "hsm", "sdss_centroid", "extendedness", "kron", "gaap", "blendedness", "galaxies", "sersic",
    "trail", "dipole", "local_background",
)  # fmt: skip
_PILED_UP = 10  # pairs of neighbours at the highest value: they saturate


@dataclass(frozen=True, eq=False)
class Sources:
    """What was found on an image.

    Parameters
    ----------
    table : astropy.table.Table
        One row per source: ``x``, ``y`` [px], ``psfFlux`` and further columns under LSST's names in image units; ``ra``
        and ``dec`` [deg] with a WCS.
    exposure : Exposure
        The image without its sky, with mask and PSF.
    """

    table: AstropyTable
    exposure: Exposure

    @property
    def psf(self) -> Psf | None:
        """PSF of the image."""
        return self.exposure.psf

    @property
    def background(self) -> Background | None:
        """Sky that was subtracted."""
        return self.exposure.background


def characterize(
    image: Any,
    *,
    variance: ArrayLike | None = None,
    gain: float | None = None,
    mask: ArrayLike | None = None,
    psf: Psf | None = None,
    wcs: SkyWcs | None = None,
    measurements: tuple[str, ...] | None = None,
    config: CharacterizeConfig | None = None,
) -> Sources:
    """Subtract the sky, fit the PSF, find cosmic rays, detect and measure all sources.

    Parameters
    ----------
    image : array_like, Exposure, path, or lsst.images.MaskedImage
        Pixels ``[y, x]``; a path is a FITS file of an exposure. In an array the highest value counts as saturated where
        neighbours share it.
    variance : array_like, shape of the image, optional
        Noise variance of each pixel. By default that of the sky is measured on the image and, with ``gain``, the photon
        noise of sources added.
    gain : float, optional
        Electrons per image unit, for the photon noise of sources.
    mask : array_like, bool, shape of the image, optional
        Bad pixels.
    psf : Psf, optional
        Known PSF; fitted to the stars by default.
    wcs : SkyWcs, optional
        For sky positions.
    measurements : tuple of str, optional
        Which to make; `ALL_MEASUREMENTS` names those that exist.
    config : CharacterizeConfig, optional
        Every knob.

    Returns
    -------
    Sources

    Raises
    ------
    InputError
        If the image is none, or arrays differ in shape.
    AlgorithmError
        If nothing is detected, or too few stars make a PSF.
    """
    exposure = as_exposure(image, variance=variance, gain=gain, mask=mask, psf=psf, wcs=wcs)
    config = config or CharacterizeConfig()
    if exposure.psf is not None and psf is not None:
        config = config.model_copy(update={"fit_psf": False})
    if measurements is not None:
        measure = config.measure.model_copy(update={"measurements": measurements})
        config = config.model_copy(update={"measure": measure})
    result = CharacterizeTask(config).run(exposure=exposure)
    return Sources(_table(result.columns, result.exposure), result.exposure)


def measure(
    image: Any,
    x: ArrayLike,
    y: ArrayLike,
    *,
    psf: Psf | None = None,
    forced: bool = True,
    variance: ArrayLike | None = None,
    gain: float | None = None,
    mask: ArrayLike | None = None,
    wcs: SkyWcs | None = None,
    measurements: tuple[str, ...] | None = None,
    reference: Mapping[str, NDArray[Any]] | None = None,
) -> Sources:
    """Measure sources at given places.

    Parameters
    ----------
    image : array_like, Exposure, path, or lsst.images.MaskedImage
        Pixels without sky.
    x, y : array_like, shape (n,)
        Places [px].
    psf : Psf, optional
        PSF; that of the image by default.
    forced : bool
        Keep the places; else they are fitted.
    variance, gain, mask, wcs, measurements
        As for `characterize`.
    reference : mapping of str to ndarray, shape (n,), optional
        Columns of the same sources in another band on the same pixel grid, for measurements that hold their shapes
        (``held_models``).

    Returns
    -------
    Sources
        In the order given.

    Raises
    ------
    InputError
        If there is no PSF, or a place is not finite.
    """
    exposure = as_exposure(image, variance=variance, gain=gain, mask=mask, psf=psf, wcs=wcs)
    config = MeasureConfig() if measurements is None else MeasureConfig(measurements=measurements)
    columns = MeasureTask(config).run(exposure=exposure, x=x, y=y, forced=forced, reference=reference)
    return Sources(_table(columns, exposure), exposure)


def as_exposure(
    image: Any,
    *,
    variance: ArrayLike | None = None,
    gain: float | None = None,
    mask: ArrayLike | None = None,
    psf: Psf | None = None,
    wcs: SkyWcs | None = None,
) -> Exposure:
    """Make an exposure of what people have.

    Parameters
    ----------
    image, variance, gain, mask, psf, wcs
        As for `characterize`; what is given replaces what the image has.

    Returns
    -------
    Exposure

    Raises
    ------
    InputError
        If the image is none, or arrays differ in shape.
    """
    given = {name: part for name, part in (("psf", psf), ("wcs", wcs)) if part is not None}
    if isinstance(image, str | Path):
        image = read_exposure(image)
    elif type(image).__module__.startswith("lsst.images"):
        from etendue.middleware.lsst_images import from_masked_image

        image = from_masked_image(image)
    if isinstance(image, Exposure):
        exposure = image
    else:
        exposure = _of_array(np.asarray(image), variance, gain)
        variance = None
    box = exposure.bbox
    if variance is not None:
        given["variance"] = Image(_like(variance, box, "variance"), box)  # type: ignore[assignment]
    if mask is not None:
        bad = _like(mask, box, "mask") != 0
        given["mask"] = exposure.mask.with_plane("BAD", bad)  # type: ignore[assignment]
    return exposure.replace(**given)


def _of_array(pixels: NDArray[Any], variance: ArrayLike | None, gain: float | None) -> Exposure:
    if pixels.ndim != 2 or pixels.dtype.kind not in "fiub" or not pixels.size:
        raise InputError("an image needs two axes of numbers", value=f"{pixels.ndim} axes of {pixels.dtype}")
    box = Box.from_shape(pixels.shape)
    values = pixels.astype(np.float32)
    blank = Mask.empty(box).with_plane("NO_DATA", ~np.isfinite(values))
    noise = _measured_variance(values, gain) if variance is None else _like(variance, box, "variance")
    mask = blank.with_plane("SAT", _piled_up(values))
    return Exposure(image=Image(values, box), mask=mask, variance=Image(noise, box), unit="")


def _piled_up(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which pixels have the highest value, if so many share it that the detector cannot count further."""
    with np.errstate(invalid="ignore"):
        top = values == np.nanmax(values, initial=-np.inf, where=np.isfinite(values))
    touching = np.count_nonzero(top[:, 1:] & top[:, :-1])
    return top if touching >= _PILED_UP else np.zeros(values.shape, bool)


def _measured_variance(values: NDArray[np.float32], gain: float | None) -> NDArray[np.float32]:
    """Return the variance that differences of neighbours show, and the photon noise of what stands above the median."""
    finite = np.isfinite(values)
    if not finite.any():
        raise InputError("the image has no finite pixel", value=values.shape)
    sides = np.concatenate([np.diff(values, axis=1).ravel(), np.diff(values, axis=0).ravel()])
    low, high = np.nanpercentile(sides, [25.0, 75.0]) if sides.size else (0.0, 0.0)
    sky = 0.5 * (float(high - low) / 1.349) ** 2
    if not sky > 0.0:
        raise InputError("the pixels show no noise", value=f"{low:g} to {high:g} between neighbours",
                         remedy="give the variance")  # fmt: skip
    level = np.zeros(values.shape, np.float32)
    if gain is not None:
        above = values - np.float32(np.median(values[finite]))
        level = np.where(finite, np.maximum(above, 0.0), 0.0).astype(np.float32) / np.float32(gain)
    return (np.float32(sky) + level).astype(np.float32)


def _like(array: ArrayLike, box: Box, name: str) -> NDArray[np.float32]:
    values = np.asarray(array, np.float32)
    if values.shape != box.shape:
        raise InputError(f"the {name} has another shape than the image", value=f"{values.shape}, {box.shape}")
    return values


def _table(columns: SourceColumns, exposure: Exposure) -> AstropyTable:
    """Return the columns under LSST's names, corrected by the exposure's aperture corrections."""
    columns = corrected(columns, exposure.aperture_corrections)
    table = AstropyTable()
    table["x"], table["y"], table["xErr"], table["yErr"] = columns.x, columns.y, columns.x_err, columns.y_err
    if exposure.wcs is not None:
        table["ra"], table["dec"] = exposure.wcs.pixel_to_sky(x=columns.x, y=columns.y)
    table["psfFlux"], table["psfFluxErr"] = columns.psf_flux, columns.psf_flux_err
    table["psfFlux_flag"], table["centroid_flag"] = columns.psf_flux_flag, columns.centroid_flag
    table["snr"], table["psfChi2"], table["sky"] = columns.snr, columns.psf_chi2_dof, columns.sky
    for name, value in {**columns.measured, **columns.pixel_flags}.items():
        table[name] = value
    return table
