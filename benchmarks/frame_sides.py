"""Detection and measurement of the survey frame, from a FITS image to a FITS catalog: ours and the peers'.

Every side is given the true PSF, the same threshold in the S/N of its matched filter and the same apertures, measures
sky and noise itself, and writes ``x``, ``y``, fluxes and, where it has them, their errors.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from side import Work, run_program
from survey_frame import FWHM, STAMP, mixture, true_psf

THRESHOLD = 5.0
CELL = 128
FITS_OF_GALAXIES = ("galaxies", "sersic")
RADII = (3.0, 4.5, 6.0, 9.0, 12.0, 17.0, 25.0, 35.0, 50.0, 70.0)  # LSST's
FILTER = 15  # side of the matched filter [px]
_SOURCE_EXTRACTOR_COLUMNS = (
    "XWIN_IMAGE", "YWIN_IMAGE", "ERRX2WIN_IMAGE", "ERRY2WIN_IMAGE", "X2_IMAGE", "Y2_IMAGE", "XY_IMAGE",
    f"FLUX_APER({len(RADII)})", f"FLUXERR_APER({len(RADII)})", "FLAGS",
)  # fmt: skip
Columns = dict[str, NDArray[np.float64]]


def _read(folder: Path) -> NDArray[np.float32]:
    from astropy.io import fits

    return np.ascontiguousarray(fits.getdata(folder / "frame.fits"), np.float32)


def _write(folder: Path, name: str, columns: Columns) -> dict[str, Any]:
    from astropy.table import Table

    Table(columns).write(folder / f"{name}.fits", overwrite=True)
    return {"n": len(columns["x"])}


def _our_exposure(image: NDArray[np.float32]) -> Any:
    from etendue.geom.box import Box
    from etendue.image.exposure import Exposure
    from etendue.image.image import Image
    from etendue.image.mask import Mask
    from etendue.image.psf import GaussianMixturePsf

    box = Box.from_shape(image.shape)
    return Exposure(
        image=Image(image, box),
        mask=Mask.empty(box),
        variance=Image(np.maximum(image, np.float32(1.0)), box),
        psf=GaussianMixturePsf(mixture()[0], *mixture()[1], STAMP),
        unit="electron",
    )


def ours(folder: Path, *, threshold: float = THRESHOLD, detect_only: bool = False, **_: Any) -> Work:
    from etendue.tasks.background.background import SubtractBackgroundConfig, SubtractBackgroundTask
    from etendue.tasks.detect.detect import DetectConfig, DetectTask
    from etendue.tasks.measure.apertures import AperturesConfig, aperture_name
    from etendue.tasks.measure.measure import MeasureConfig, MeasureTask

    background = SubtractBackgroundTask(SubtractBackgroundConfig(cell_size=CELL))
    detect = DetectTask(DetectConfig(threshold_snr=threshold))
    measure = MeasureTask(MeasureConfig(measurements=("apertures", "moments"), apertures=AperturesConfig(radii=RADII)))

    def work() -> dict[str, Any]:
        found = detect.run(exposure=background.run(exposure=_our_exposure(_read(folder))).exposure)
        if detect_only:
            return _write(folder, "ours", {"x": found.x, "y": found.y})
        got = measure.run(exposure=found.exposure, x=found.x, y=found.y, footprints=found.footprints)
        moments = {name: got.measured[name] for name in ("ixx", "iyy", "ixy")}
        circles = [aperture_name(radius) for radius in RADII]
        apertures = {"aper": np.stack([got.measured[name] for name in circles], 1),
                     "aper_err": np.stack([got.measured[f"{name}Err"] for name in circles], 1)}  # fmt: skip
        fit = {"flux": got.psf_flux, "flux_err": got.psf_flux_err, "x_err": got.x_err, "y_err": got.y_err}
        return _write(folder, "ours", {"x": got.x, "y": got.y, **fit, **apertures, **moments})

    return work


def whole_chain(folder: Path, **_: Any) -> Work:
    """From an image with its sky to all sources: every measurement but the fits of galaxies; the PSF is not known."""
    from etendue.app.pixels import ALL_MEASUREMENTS
    from etendue.tasks.characterize.characterize import CharacterizeConfig, CharacterizeTask
    from etendue.tasks.measure.apertures import AperturesConfig
    from etendue.tasks.measure.measure import MeasureConfig

    names = tuple(name for name in ALL_MEASUREMENTS if name not in FITS_OF_GALAXIES)
    measure = MeasureConfig(measurements=names, apertures=AperturesConfig(radii=RADII))
    task = CharacterizeTask(CharacterizeConfig(measure=measure))

    def work() -> dict[str, Any]:
        columns = task.run(exposure=_our_exposure(_read(folder)).replace(psf=None)).columns
        return _write(folder, "chain", {"x": columns.x, "y": columns.y, **columns.measured})

    return work


def sep_side(folder: Path, *, threshold: float = THRESHOLD, **_: Any) -> Work:
    import sep

    kernel = true_psf(FILTER)

    def work() -> dict[str, Any]:
        image = _read(folder)
        sep.set_extract_pixstack(max(1_000_000, image.size // 4))
        sky = sep.Background(image, bw=CELL, bh=CELL)
        image, noise = image - sky.back(), sky.rms()
        found = sep.extract(
            image, threshold, err=noise, minarea=1, filter_kernel=kernel, filter_type="matched", clean=False
        )
        x, y, flag = sep.winpos(image, found["x"], found["y"], np.full(len(found), FWHM / 2.3548))
        x, y = np.where(flag == 0, x, found["x"]), np.where(flag == 0, y, found["y"])
        sums = [sep.sum_circle(image, x, y, radius, err=noise, gain=1.0)[:2] for radius in RADII]
        moments = {"ixx": found["x2"], "iyy": found["y2"], "ixy": found["xy"]}
        apertures = {"aper": np.stack([s[0] for s in sums], 1), "aper_err": np.stack([s[1] for s in sums], 1)}
        return _write(folder, "sep", {"x": x, "y": y, **apertures, **moments})

    return work


def source_extractor(folder: Path, *, threshold: float = THRESHOLD, **_: Any) -> Work:
    program = shutil.which("source-extractor") or shutil.which("sex")
    if program is None:
        raise FileNotFoundError("source-extractor is not installed (apt install source-extractor)")
    kernel = true_psf(FILTER)
    rows = "\n".join(" ".join(f"{value:.8e}" for value in row) for row in kernel)
    (folder / "psf.conv").write_text(f"CONV NORM\n{rows}\n")
    (folder / "columns.param").write_text("\n".join(_SOURCE_EXTRACTOR_COLUMNS) + "\n")
    # Its threshold counts the noise of the pixels, not that of the filtered image.
    per_pixel = threshold * float(np.sqrt(np.sum((kernel / kernel.sum()) ** 2)))
    settings = {
        "PARAMETERS_NAME": "columns.param", "FILTER_NAME": "psf.conv", "DETECT_MINAREA": 1, "CLEAN": "N",
        "DETECT_THRESH": per_pixel, "ANALYSIS_THRESH": per_pixel, "BACK_SIZE": CELL, "GAIN": 1.0,
        "PHOT_APERTURES": ",".join(str(2.0 * radius) for radius in RADII), "SATUR_LEVEL": 1e9, "PIXEL_SCALE": 1.0,
        "SEEING_FWHM": FWHM, "STARNNW_NAME": "/usr/share/source-extractor/default.nnw", "NTHREADS": 1,
        "CATALOG_TYPE": "FITS_1.0", "CATALOG_NAME": "source-extractor.fits", "VERBOSE_TYPE": "QUIET",
        "MEMORY_PIXSTACK": 3_000_000, "MEMORY_OBJSTACK": 30_000,
    }  # fmt: skip
    options = [text for name, value in settings.items() for text in (f"-{name}", str(value))]
    command = [program, "frame.fits", "-c", "/dev/null", *options]
    return lambda: run_program(command, folder)


def photutils_side(folder: Path, *, threshold: float = THRESHOLD, detect_only: bool = False, **_: Any) -> Work:
    from astropy.table import Table
    from photutils.aperture import CircularAperture, aperture_photometry
    from photutils.background import Background2D
    from photutils.detection import find_peaks
    from photutils.psf import ImagePSF, PSFPhotometry
    from scipy.signal import fftconvolve

    kernel = true_psf(FILTER)
    fit = PSFPhotometry(ImagePSF(true_psf()), (11, 11), aperture_radius=4.0, progress_bar=False)

    def work() -> dict[str, Any]:
        image = _read(folder).astype(float)
        sky = Background2D(image, CELL)
        error = np.sqrt(np.maximum(image, 1.0))
        image = image - sky.background
        significance = fftconvolve(image, kernel[::-1, ::-1], mode="same") / sky.background_rms
        peaks = find_peaks(significance / np.sqrt(np.sum(kernel**2)), threshold, box_size=5)
        x, y = np.asarray(peaks["x_peak"], float), np.asarray(peaks["y_peak"], float)
        if detect_only:
            return _write(folder, "photutils", {"x": x, "y": y})
        got = fit(image, error=error, init_params=Table({"x_init": x, "y_init": y}))
        x, y = np.asarray(got["x_fit"], float), np.asarray(got["y_fit"], float)
        places = np.stack([np.nan_to_num(x), np.nan_to_num(y)], axis=-1)
        sums = aperture_photometry(image, [CircularAperture(places, r) for r in RADII], error=error)
        apertures = {
            name: np.stack([np.asarray(sums[f"{column}_{i}"]) for i in range(len(RADII))], 1)
            for name, column in (("aper", "aperture_sum"), ("aper_err", "aperture_sum_err"))
        }
        fitted = {name: np.asarray(got[f"{name.replace('_err', '')}_{'err' if '_err' in name else 'fit'}"], float)
                  for name in ("flux", "flux_err", "x_err", "y_err")}  # fmt: skip
        return _write(folder, "photutils", {"x": x, "y": y, **fitted, **apertures})

    return work


def catalog(folder: Path, name: str) -> Columns:
    """Return what a side wrote, under our names, zero-based."""
    from astropy.table import Table

    table = Table.read(folder / f"{name}.fits", unit_parse_strict="silent")
    if name != "source-extractor":
        return {column: np.asarray(table[column], float) for column in table.colnames}
    return {
        "x": np.asarray(table["XWIN_IMAGE"], float) - 1.0,
        "y": np.asarray(table["YWIN_IMAGE"], float) - 1.0,
        "x_err": np.sqrt(np.asarray(table["ERRX2WIN_IMAGE"], float)),
        "y_err": np.sqrt(np.asarray(table["ERRY2WIN_IMAGE"], float)),
        "aper": np.asarray(table["FLUX_APER"], float),
        "aper_err": np.asarray(table["FLUXERR_APER"], float),
    }
