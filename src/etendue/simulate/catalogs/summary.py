"""Rows of the visit summary: when, where, how deep, and where the corners of detectors are."""

import numpy as np

from etendue.simulate.catalogs.depth import Depth
from etendue.simulate.catalogs.rows import Frame
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.true_wcs import TrueWcs
from etendue.table.table import Table

_CORNERS = {"llc": (0, 0), "ulc": (0, 1), "urc": (1, 1), "lrc": (1, 0)}


def visit_summary(survey: Survey, frame: Frame, wcs: TrueWcs, depth: Depth) -> Table:
    """Return the summary of an exposure, one row per detector.

    Parameters
    ----------
    survey : Survey
        The survey.
    frame : Frame
        The exposure and its detectors.
    wcs : TrueWcs
        Sky to field angles.
    depth : Depth
        Its depth.

    Returns
    -------
    Table
        ``visit_summary``; quantities that only pixels have are null.
    """
    exposure, detectors = frame.exposure, frame.footprint
    rows = np.arange(detectors.ids.size)
    n = rows.size
    fx, fy = detectors.to_field(rows, detectors.center_x, detectors.center_y)
    noise = depth.at(fx, fy)
    columns = {
        "visit": np.full(n, exposure.exposure), "detector": detectors.ids, "band": np.full(n, exposure.band),
        "physical_filter": np.full(n, frame.physical_filter), "pixelScale": np.full(n, frame.plate_scale),
        "zenithDistance": np.full(n, exposure.zenith_deg), "expTime": np.full(n, exposure.exposure_time_s),
        "expMidptMJD": np.full(n, exposure.mjd_tai_mid), "obsStartMJD": np.full(n, exposure.mjd_tai_begin),
        "seeing": np.full(n, depth.psf.fwhm_arcsec), "psfSigma": np.full(n, frame.psf_arcsec / frame.plate_scale),
        "psfArea": np.full(n, depth.psf_px), "magLim": noise.five_sigma_mag(), "airmass": np.full(n, exposure.airmass),
        "altitude": np.full(n, 90.0 - exposure.zenith_deg), "skyRotation": np.full(n, exposure.rotation_deg),
        "day_obs": np.full(n, exposure.day_obs), "seq": np.full(n, exposure.seq),
        "instrument": np.full(n, survey.camera.name), "target": np.full(n, exposure.field),
        "photoCalibKind": np.full(n, "absolute"), "photoCalibScale": np.ones(n),
        "xSize": (detectors.right - detectors.left).astype(np.int64),
        "ySize": (detectors.top - detectors.bottom).astype(np.int64),
    }  # fmt: skip
    columns["ra"], columns["dec"] = wcs.pixel_to_sky(x=fx, y=fy)
    for name, (right, top) in _CORNERS.items():
        x = detectors.right - 0.5 if right else detectors.left + 0.5
        y = detectors.top - 0.5 if top else detectors.bottom + 0.5
        fx, fy = detectors.to_field(rows, x, y)
        columns[f"{name}ra"], columns[f"{name}dec"] = wcs.pixel_to_sky(x=fx, y=fy)
    return Table("visit_summary", columns)
