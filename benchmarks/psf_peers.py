"""PSFs of other programs on the pixels of an exposure, as stamps at given places."""

import json
import resource
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import galsim
import galsim.des
import numpy as np
from astropy.io import fits

from etendue.image.exposure import Exposure

Places = np.ndarray

_MOST_STARS = 300  # as many as ours takes


class Peer(NamedTuple):
    """A fitted model."""

    model: np.ndarray  # (n, k, k), PSFs at the places, at their sub-pixel phases
    cpu_s: float  # of the fit
    select_cpu_s: float  # of what finds and measures the stars before it


_SEX = """
CATALOG_NAME stars.cat
CATALOG_TYPE FITS_LDAC
PARAMETERS_NAME sex.param
FILTER N
DETECT_THRESH 5
ANALYSIS_THRESH 5
DETECT_MINAREA 5
BACK_TYPE MANUAL
BACK_VALUE 0.0
WEIGHT_TYPE MAP_VAR
WEIGHT_IMAGE variance.fits
PHOT_APERTURES {aperture}
GAIN 1.0
SATUR_LEVEL 1e9
VERBOSE_TYPE QUIET
"""
_PARAM = """
VIGNET({side},{side})
X_IMAGE
Y_IMAGE
FLUX_APER(1)
FLUXERR_APER(1)
FLUX_RADIUS
ELONGATION
FLAGS
SNR_WIN
"""
_PSFEX = """
BASIS_TYPE PIXEL
PSF_SAMPLING {sampling}
PSF_ACCURACY 0.003
PSF_SIZE {grid},{grid}
PSFVAR_DEGREES 2
SAMPLE_AUTOSELECT Y
SAMPLEVAR_TYPE SEEING
SAMPLE_FWHMRANGE 1.0,15.0
SAMPLE_VARIABILITY 0.2
SAMPLE_MINSN {snr}
SAMPLE_MAXELLIP 0.3
CHECKPLOT_TYPE NONE
CHECKIMAGE_TYPE NONE
WRITE_XML N
VERBOSE_TYPE QUIET
NTHREADS 1
"""
_PIFF = """
import json, sys, time
import numpy as np, galsim, piff

image = galsim.fits.read("image.fits")
weight = 1.0 / galsim.fits.read("variance.fits").array
weight = galsim.Image(weight, xmin=image.xmin, ymin=image.ymin)
given = json.load(open("places.json"))
half, wcs = given["half"], galsim.PixelScale(1.0)
image.wcs = weight.wcs = wcs
stars = []
for x, y in zip(given["star_x"], given["star_y"]):
    box = galsim.BoundsI(round(x) - half, round(x) + half, round(y) - half, round(y) + half) & image.bounds
    where = galsim.PositionD(x, y)
    stars.append(piff.Star(piff.StarData(image[box], where, weight=weight[box]), None))
begin = time.process_time()
model = piff.PixelGrid(scale=given["scale"], size=given["grid"], interp=given["kernel"])
outliers = [piff.ChisqOutliers(nsigma=4.0, max_remove=0.03)]
psf = piff.SimplePSF(model, piff.BasisPolynomial(order=2), outliers=outliers, max_iter=given["rounds"])
psf.fit(stars, {0: wcs}, None)
seconds = time.process_time() - begin
side = given["side"]
drawn = []
for x, y in zip(given["x"], given["y"]):
    box = galsim.BoundsI(round(x) - side // 2, round(x) + side // 2, round(y) - side // 2, round(y) + side // 2)
    drawn.append(psf.draw(x=x, y=y, image=galsim.ImageD(box, wcs=wcs), center=(x, y)).array)
np.save("drawn.npy", np.array(drawn))
print(seconds)
"""


def psfex_model(exposure: Exposure, _x: Places, _y: Places, x: Places, y: Places, fwhm: float, _python: str) -> Peer:
    """Fit with PSFEx on the stars that it selects from source-extractor's catalog; pixel basis, second degree."""
    seen = float(np.hypot(fwhm, 1.0))
    sampling = float(np.clip(seen / 4.0, 0.4, 1.0))
    side = 2 * round(4.0 * seen + 4.0) + 1
    grid = 2 * round(3.0 * seen / sampling) + 1
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), exposure)
        Path(folder, "sex.conf").write_text(_SEX.format(aperture=3.0 * seen))
        Path(folder, "sex.param").write_text(_PARAM.format(side=side))
        select = _run(folder, "source-extractor", "image.fits", "-c", "sex.conf")
        snr = np.sort(fits.getdata(Path(folder, "stars.cat"), 2)["SNR_WIN"])
        faintest = max(30.0, float(snr[-min(_MOST_STARS, snr.size)]))
        Path(folder, "psfex.conf").write_text(_PSFEX.format(sampling=sampling, grid=grid, snr=faintest))
        seconds = _run(folder, "psfex", "stars.cat", "-c", "psfex.conf")
        model = galsim.des.DES_PSFEx("stars.psf", dir=folder)
        drawn = []
        for xi, yi in zip(x, y, strict=True):
            image, phase = galsim.ImageD(side, side), (xi - np.rint(xi), yi - np.rint(yi))
            profile = model.getPSF(galsim.PositionD(xi + 1.0, yi + 1.0))
            drawn.append(profile.drawImage(image, scale=1.0, offset=phase, method="no_pixel").array)
    return Peer(np.array(drawn), seconds, select)


def piff_model(
    exposure: Exposure, star_x: Places, star_y: Places, x: Places, y: Places, fwhm: float, python: str
) -> Peer:
    """Fit with Piff's pixel grid and polynomials on the stars that ours used."""
    seen = float(np.hypot(fwhm, 1.0))
    scale = float(np.clip(seen / 3.0, 0.6, 1.5))
    half = round(3.0 * seen + 3.0)
    inside = (np.minimum(star_x, star_y) > half + 1) & (np.maximum(star_x, star_y) < exposure.bbox.x.size - half - 2)
    given: dict[str, Any] = {
        "star_x": list(star_x[inside] + 1.0), "star_y": list(star_y[inside] + 1.0), "x": list(x + 1.0),
        "y": list(y + 1.0), "half": half, "scale": scale, "grid": 2 * int(half / scale) + 1, "kernel": "Lanczos(5)",
        "side": 2 * half + 1, "rounds": 15,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), exposure)
        Path(folder, "places.json").write_text(json.dumps(given))
        Path(folder, "fit.py").write_text(_PIFF)
        done = subprocess.run([python, "fit.py"], cwd=folder, capture_output=True, text=True, check=True)
        drawn = np.load(Path(folder, "drawn.npy"))
    return Peer(drawn, float(done.stdout.split()[-1]), 0.0)


def _write(folder: Path, exposure: Exposure) -> None:
    fits.writeto(folder / "image.fits", exposure.image.array)
    fits.writeto(folder / "variance.fits", exposure.variance.array)


def _run(folder: str, *command: str) -> float:
    """Run a program and return its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
