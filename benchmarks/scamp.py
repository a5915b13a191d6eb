"""Astrometric solutions of one detector's catalog: ours and SCAMP's, from the same FITS tables to a header.

Usage: python benchmarks/scamp.py [--seeds N ...] [--repeat 3] [--out benchmarks/results]

The frame is 4,096 px wide, turned by half a degree, 30 px off and distorted; half of the detections are no stars of the
catalog. Solutions are compared with the true sky positions of the true pixel positions of all its stars.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from comparison import Comparison, Contender, compare, show
from machine import HERE, machine_facts, rounded
from numpy.typing import NDArray
from rich.console import Console
from side import Work, run_program

Columns = dict[str, NDArray[np.float64]]

SIDE, ARCSEC, CENTER = 4096, 0.2, (120.0, -30.0)
STARS, OTHERS = 5000, 2500
BEND = 1e-10  # of a distortion that grows with the cube of the radius [px**-2]
REFERENCE_ERROR = 0.005  # [arcsec]
SEEDS = (9301, 9302, 9303)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def field(seed: int) -> tuple[Columns, Columns, Columns]:
    """Return detections, reference stars, and the truth of the stars that are both."""
    rng = np.random.default_rng(seed)
    density = STARS / SIDE**2
    half = 0.5 * SIDE + 400.0
    n = rng.poisson(density * 4.0 * half**2)
    plane = rng.uniform(-half, half, (n, 2))
    angle = np.radians(0.5)
    turned = plane @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    pixel = 1.002 * turned * (1.0 + BEND * (turned**2).sum(axis=1, keepdims=True)) + (18.0, -24.0) + 0.5 * SIDE
    from etendue.geom.sphere import tangent_plane_inverse

    degrees = plane * (-ARCSEC, ARCSEC) / 3600.0
    ra, dec = tangent_plane_inverse(degrees[:, 0], degrees[:, 1], *CENTER)
    mag = 20.0 + np.log10(rng.random(n)) / 0.3
    error = np.hypot(0.02, 0.15 * 10.0 ** (0.4 * (mag - 20.0)))  # [px]
    seen = (np.abs(pixel - 0.5 * SIDE) < 0.5 * SIDE).all(axis=1) & (rng.random(n) < 0.95)
    xy = pixel[seen] + rng.normal(0.0, 1.0, (seen.sum(), 2)) * error[seen, None]
    others = rng.uniform(0.0, SIDE, (OTHERS, 2))
    flux = 10.0 ** (-0.4 * (mag - 30.0))
    sources = {
        "x": np.r_[xy[:, 0], others[:, 0]], "y": np.r_[xy[:, 1], others[:, 1]],
        "err": np.r_[error[seen], np.full(OTHERS, 0.15)],
        "flux": np.r_[flux[seen], rng.choice(flux, OTHERS) * 0.3],
    }  # fmt: skip
    sky_error = REFERENCE_ERROR / 3600.0
    reference = {
        "ra": ra + rng.normal(0.0, sky_error, n) / np.cos(np.radians(dec)),
        "dec": dec + rng.normal(0.0, sky_error, n), "mag": mag,
    }  # fmt: skip
    truth = {"x": pixel[seen, 0], "y": pixel[seen, 1], "ra": ra[seen], "dec": dec[seen]}
    return sources, reference, truth


def start_header() -> fits.Header:
    """Return the header before the fit: right to 30 px and half a degree, without distortion."""
    middle = 0.5 * SIDE + 1.0
    cards = {
        "NAXIS": 2, "NAXIS1": SIDE, "NAXIS2": SIDE, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg",
        "CUNIT2": "deg", "CRVAL1": CENTER[0], "CRVAL2": CENTER[1], "CRPIX1": middle, "CRPIX2": middle,
        "CD1_1": -ARCSEC / 3600.0, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": ARCSEC / 3600.0, "EQUINOX": 2000.0,
        "EXPTIME": 30.0, "FILTER": "r", "MJD-OBS": 60000.0, "GAIN": 1.0, "SATURATE": 1e9,
    }  # fmt: skip
    return fits.Header([("SIMPLE", True), ("BITPIX", -32), *cards.items()])


def write_ldac(path: Path, header: fits.Header, columns: Columns) -> None:
    """Write a catalog as SCAMP reads it: the image's header as a table, then the objects."""
    text = header.tostring(sep="", endcard=True, padding=False)
    card = np.array([text.encode()])
    about = fits.BinTableHDU.from_columns(
        [fits.Column("Field Header Card", f"{len(text)}A", array=card)], name="LDAC_IMHEAD"
    )
    about.header["TDIM1"] = f"(80, {len(text) // 80})"
    kinds = {"FLAGS": "I", "XWIN_IMAGE": "D", "YWIN_IMAGE": "D", "X_WORLD": "D", "Y_WORLD": "D"}
    rows = [fits.Column(name, f"1{kinds.get(name, 'E')}", array=value) for name, value in columns.items()]
    hdus = fits.HDUList([fits.PrimaryHDU(), about, fits.BinTableHDU.from_columns(rows, name="LDAC_OBJECTS")])
    hdus.writeto(path, overwrite=True)
    # Astropy fills strings with zeros; SCAMP looks for END and spaces, and crashes.
    path.write_bytes(path.read_bytes().replace(b"END" + bytes(77), b"END".ljust(80)))


def save(folder: Path, seed: int) -> None:
    """Write ``frame.cat``, ``reference.cat`` and ``truth.npz``."""
    sources, reference, truth = field(seed)
    n, m = sources["x"].size, reference["ra"].size
    detected = {
        "XWIN_IMAGE": sources["x"] + 1.0, "YWIN_IMAGE": sources["y"] + 1.0, "ERRAWIN_IMAGE": sources["err"],
        "ERRBWIN_IMAGE": sources["err"], "ERRTHETAWIN_IMAGE": np.zeros(n), "FLUX_AUTO": sources["flux"],
        "FLUXERR_AUTO": sources["flux"] * sources["err"] / 1.5, "FLAGS": np.zeros(n, np.int16),
        "FLUX_RADIUS": np.full(n, 2.0), "ELONGATION": np.ones(n),
    }  # fmt: skip
    error = np.full(m, REFERENCE_ERROR / 3600.0)
    stars = {
        "X_WORLD": reference["ra"], "Y_WORLD": reference["dec"], "ERRA_WORLD": error, "ERRB_WORLD": error,
        "ERRTHETA_WORLD": np.zeros(m), "MAG": reference["mag"], "MAGERR": np.full(m, 0.01),
        "OBSDATE": np.full(m, 2023.1),
    }  # fmt: skip
    write_ldac(folder / "frame.cat", start_header(), detected)
    write_ldac(folder / "reference.cat", start_header(), stars)
    np.savez(folder / "truth.npz", **truth)


def ours(folder: Path, **_: Any) -> Work:
    from etendue.geom.box import Box
    from etendue.geom.sky_wcs import SkyWcs
    from etendue.geom.wcs_header import write_wcs
    from etendue.tasks.astrometry.fit import FitAstrometryConfig, FitAstrometryTask
    from etendue.tasks.match.pattern import MatchPatternConfig

    task = FitAstrometryTask(FitAstrometryConfig(pattern=MatchPatternConfig(max_shift_arcsec=60.0)))
    start = SkyWcs((0.5 * SIDE, 0.5 * SIDE), CENTER, np.diag([-ARCSEC, ARCSEC]) / 3600.0)

    def work() -> dict[str, Any]:
        source = {name: np.asarray(v, float) for name, v in _table(folder / "frame.cat").items()}
        star = {name: np.asarray(v, float) for name, v in _table(folder / "reference.cat").items()}
        fit = task.run(
            x=source["XWIN_IMAGE"] - 1.0, y=source["YWIN_IMAGE"] - 1.0, x_err=source["ERRAWIN_IMAGE"],
            y_err=source["ERRBWIN_IMAGE"], flux=source["FLUX_AUTO"], wcs=start, ref_ra_deg=star["X_WORLD"],
            ref_dec_deg=star["Y_WORLD"], ref_flux=10.0 ** (-0.4 * star["MAG"]),
        )  # fmt: skip
        header = fits.Header(write_wcs(fit.wcs, Box.from_shape((SIDE, SIDE)))[0])
        header.totextfile(folder / "ours.head", overwrite=True)
        return _errors(folder, header) | {"stars": fit.n_used}

    return work


def scamp(folder: Path, **_: Any) -> Work:
    program = shutil.which("scamp")
    if program is None:
        raise FileNotFoundError("scamp is not installed (apt install scamp)")
    settings = {
        "ASTREF_CATALOG": "FILE", "ASTREFCAT_NAME": "reference.cat", "CHECKPLOT_TYPE": "NONE", "VERBOSE_TYPE": "QUIET",
        "SOLVE_PHOTOM": "N", "WRITE_XML": "N", "NTHREADS": 1, "DISTORT_DEGREES": 3, "POSANGLE_MAXERR": 2.0,
        "POSITION_MAXERR": 1.0, "PIXSCALE_MAXERR": 1.02, "SN_THRESHOLDS": "3.0,50.0", "FWHM_THRESHOLDS": "0,100",
        "ELLIPTICITY_MAX": 0.9, "ASTR_ACCURACY": 0.0,
    }  # fmt: skip
    options = [text for name, value in settings.items() for text in (f"-{name}", str(value))]

    def work() -> dict[str, Any]:
        facts = run_program([program, "frame.cat", "-c", "/dev/null", *options], folder)
        header = start_header()
        text = (folder / "frame.head").read_text("ascii", errors="ignore")  # an author's name has an accent
        header.update(fits.Header.fromstring(text, sep="\n"))
        return facts | _errors(folder, header)

    return work


def _table(path: Path) -> Any:
    columns = fits.getdata(path, "LDAC_OBJECTS")
    return {name: columns[name] for name in columns.names}


def _errors(folder: Path, header: fits.Header) -> dict[str, Any]:
    """Return how far a solution is from the true sky positions of true pixel positions [mas]."""
    with np.load(folder / "truth.npz") as truth:
        ra, dec = WCS(header).all_pix2world(truth["x"], truth["y"], 0)
        east = (ra - truth["ra"]) * np.cos(np.radians(truth["dec"])) * 3.6e6
        north = (dec - truth["dec"]) * 3.6e6
    away = np.hypot(east, north)
    return {"rms_mas": float(np.sqrt(np.mean(away**2) / 2.0)), "largest_mas": float(away.max())}


COMPARISON = Comparison(
    "astrometric_solution",
    Contender("etendue", ours, "tables read, pattern matched (shift, turn, scale, parity), TAN-SIP fitted, header"),
    (Contender("scamp", scamp, "tables read, pattern matched without flips, polynomial of degree 3 fitted, header"),),
    "yes, but that ours also tries flips and proves its match by chance; ours starts no process",
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    facts, results = machine_facts(), {}
    for seed in options.seeds:
        with tempfile.TemporaryDirectory(prefix="scamp") as scratch:
            save(Path(scratch), seed)
            results[str(seed)] = compare(COMPARISON, Path(scratch), {}, options.repeat)
    show({f"seed {seed}": result for seed, result in results.items()}, Console(width=100, file=sys.stdout))
    text = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": facts, "by_seed": results}
    (options.out / f"scamp-{text['date']}.json").write_text(json.dumps(rounded(text), indent=1) + "\n")


if __name__ == "__main__":
    main()
