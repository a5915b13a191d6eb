"""Resampling of an image and its variance onto another WCS, from FITS to FITS: ours and the peers'."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from side import Work, run_program

PIXEL_DEG, TURN_DEG, OFFSET_DEG = 0.2 / 3600.0, 3.0, 0.01
Image = NDArray[np.float32]


def wcs_of(size: int, *, turned: bool) -> Any:
    """Return the source's tangent projection, or the target's: turned, and tangent elsewhere."""
    from etendue.geom.sky_wcs import SkyWcs

    angle, offset = (np.radians(TURN_DEG), OFFSET_DEG) if turned else (0.0, 0.0)
    c, s = PIXEL_DEG * np.cos(angle), PIXEL_DEG * np.sin(angle)
    middle = 0.5 * (size - 1)
    away = offset / PIXEL_DEG  # so that the middle of the target stays on that of the source
    return SkyWcs.tan(
        crpix_x=middle - away * np.sin(angle), crpix_y=middle + away * np.cos(angle),
        crval_ra_deg=150.0, crval_dec_deg=2.0 + offset, cd=np.array([[-c, s], [s, c]]),
    )  # fmt: skip


def _header(size: int, *, turned: bool) -> Any:
    from astropy.io.fits import Header

    from etendue.geom.box import Box
    from etendue.geom.wcs_header import write_wcs

    return Header(write_wcs(wcs_of(size, turned=turned), Box.from_shape((size, size)))[0])


def save(folder: Path, name: str, image: Image, variance: Image) -> None:
    """Write the input of every side: ``NAME.fits``, ``NAME.var.fits`` with the WCS in their headers."""
    from astropy.io import fits

    header = _header(image.shape[0], turned=False)
    fits.PrimaryHDU(image, header).writeto(folder / f"{name}.fits", overwrite=True)
    fits.PrimaryHDU(variance, header).writeto(folder / f"{name}.var.fits", overwrite=True)


def load(folder: Path, name: str) -> tuple[Image, Image]:
    """Return the image and variance of an input."""
    from astropy.io import fits

    image, variance = (fits.getdata(folder / f"{name}{kind}.fits") for kind in ("", ".var"))
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(variance, np.float32)


def _store(folder: Path, side: str, image: Image, variance: Image) -> dict[str, Any]:
    from astropy.io import fits

    for kind, plane in (("", image), (".var", variance)):
        fits.PrimaryHDU(plane).writeto(folder / f"{side}{kind}.out.fits", overwrite=True)
    return {"finite_fraction": float(np.isfinite(image).mean())}


def ours(folder: Path, *, name: str = "warp", **_: Any) -> Work:
    from etendue.geom.box import Box
    from etendue.image.exposure import Exposure
    from etendue.image.image import Image as Plane
    from etendue.image.mask import Mask
    from etendue.tasks.warp.warp import WarpTask

    def work() -> dict[str, Any]:
        image, variance = load(folder, name)
        box, size = Box.from_shape(image.shape), image.shape[0]
        exposure = Exposure(
            image=Plane(image, box), mask=Mask.empty(box), variance=Plane(variance, box),
            wcs=wcs_of(size, turned=False), unit="electron",
        )  # fmt: skip
        warped = WarpTask().run(exposure=exposure, wcs=wcs_of(size, turned=True), bbox=box)
        np.save(folder / "ours.noise.npy", warped.noise.kernel)
        return _store(folder, "ours", warped.image.array, warped.variance.array)

    return work


def swarp(folder: Path, *, name: str = "warp", **_: Any) -> Work:
    from astropy.io import fits

    program = shutil.which("SWarp") or shutil.which("swarp")
    if program is None:
        raise FileNotFoundError("swarp is not installed (apt install swarp)")
    size = int(fits.getheader(folder / f"{name}.fits")["NAXIS1"])
    cards = _header(size, turned=True)
    cards["NAXIS"], cards["NAXIS1"], cards["NAXIS2"] = 2, size, size
    (folder / "target.head").write_text(cards.tostring(sep="\n", endcard=False, padding=False) + "\nEND\n")
    settings = {
        "IMAGEOUT_NAME": "target.fits", "WEIGHT_TYPE": "MAP_VARIANCE", "WEIGHT_IMAGE": f"{name}.var.fits",
        "RESCALE_WEIGHTS": "N", "WEIGHTOUT_NAME": "target.weight.fits", "COMBINE": "N", "RESAMPLE": "Y",
        "RESAMPLING_TYPE": "LANCZOS3", "OVERSAMPLING": 1, "FSCALASTRO_TYPE": "VARIABLE", "SUBTRACT_BACK": "N",
        "FSCALE_KEYWORD": "NONE", "GAIN_KEYWORD": "NONE", "NTHREADS": 1, "WRITE_XML": "N", "VERBOSE_TYPE": "QUIET",
        "DELETE_TMPFILES": "N", "MEM_MAX": 2048, "COMBINE_BUFSIZE": 2048,
    }  # fmt: skip
    options = [text for key, value in settings.items() for text in (f"-{key}", str(value))]
    command = [program, f"{name}.fits", "-c", "/dev/null", *options]
    return lambda: run_program(command, folder)


def reproject_bicubic(folder: Path, *, name: str = "warp", **_: Any) -> Work:
    from astropy.wcs import WCS
    from reproject import reproject_interp

    def work() -> dict[str, Any]:
        planes = np.stack(load(folder, name))
        source, target = (WCS(_header(planes.shape[1], turned=turned)) for turned in (False, True))
        image, variance = reproject_interp(
            (planes, source), target, planes.shape[1:], order="bicubic", return_footprint=False
        )
        return _store(folder, "reproject_interp", image.astype(np.float32), variance.astype(np.float32))

    return work


def reproject_conserving(folder: Path, *, name: str = "warp", **_: Any) -> Work:
    from astropy.wcs import WCS
    from reproject import reproject_adaptive

    def work() -> dict[str, Any]:
        planes = np.stack(load(folder, name))
        source, target = (WCS(_header(planes.shape[1], turned=turned)) for turned in (False, True))
        image, variance = reproject_adaptive(
            (planes, source), target, planes.shape[1:], conserve_flux=True, kernel="gaussian", return_footprint=False
        )
        return _store(folder, "reproject_adaptive", image.astype(np.float32), variance.astype(np.float32))

    return work


def product(folder: Path, side: str, name: str) -> tuple[Image, Image]:
    """Return the image and variance that a side wrote, on the target's pixels, NaN outside."""
    from astropy.io import fits

    if side == "swarp":
        return _resampled(folder, name)
    image, variance = (np.asarray(fits.getdata(folder / f"{side}{kind}.out.fits")) for kind in ("", ".var"))
    return image, variance


def _resampled(folder: Path, name: str) -> tuple[Image, Image]:
    """Put the box that swarp wrote into the target's pixels."""
    from astropy.io import fits

    with fits.open(folder / f"{name}.resamp.fits") as hdus:
        image, header = np.asarray(hdus[0].data), hdus[0].header
    weight = np.asarray(fits.getdata(folder / f"{name}.resamp.weight.fits"))
    size = int(fits.getheader(folder / f"{name}.fits")["NAXIS1"])
    target = _header(size, turned=True)
    x0, y0 = (round(target[f"CRPIX{k}"] - header[f"CRPIX{k}"]) for k in (1, 2))
    planes = np.full((2, size, size), np.nan, np.float32)
    rows, columns = slice(max(0, y0), min(size, y0 + image.shape[0])), slice(max(0, x0), min(size, x0 + image.shape[1]))
    part = slice(rows.start - y0, rows.stop - y0), slice(columns.start - x0, columns.stop - x0)
    with np.errstate(divide="ignore"):
        planes[0, rows, columns], planes[1, rows, columns] = image[part], 1.0 / weight[part]
    planes[:, ~np.isfinite(planes[1])] = np.nan
    return planes[0], planes[1]
