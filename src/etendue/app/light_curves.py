"""Light curves of a repository: find a star, fit a transit, draw, write for other programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.middleware.repository import Repository
from etendue.table.table import Table
from etendue.tasks.lightcurve.period import Periodogram, PeriodTask
from etendue.tasks.lightcurve.transit import TransitConfig, TransitFit, TransitTask

_STAR_COLUMNS = ("mag", "rms", "rmsDetrended", "rmsExpected", "nUsable", "nImage", "significance", "confirmedFraction")
_CURVE_COLUMNS = ("mjdUtc", "bjdTdb", "airmass", "deltaMag", "deltaMagErr", "deltaMagDetrended")


@dataclass(frozen=True)
class StarCurve:
    """The light curve of one star in one band.

    Parameters
    ----------
    star : dict
        Its row of ``light_curve_star``.
    rows : Table
        Its usable rows of ``light_curve``, in order of time.
    """

    star: dict[str, Any]
    rows: Table

    @property
    def name(self) -> str:
        """Name by its position, as J020410.27+464116.1."""
        return position_name(float(self.star["ra"]), float(self.star["dec"]))

    def column(self, name: str) -> np.ndarray:
        """Return a column as float64."""
        return np.asarray(self.rows[name], float)

    @property
    def hours_utc(self) -> np.ndarray:
        """Hours of UTC since the midnight before the first frame."""
        utc = self.column("mjdUtc")
        return (utc - np.floor(utc[0])) * 24.0

    def listing(self) -> list[dict[str, Any]]:
        """Return one dict per measurement: UTC, BJD, airmass, magnitudes."""
        columns = {name: self.column(name) for name in _CURVE_COLUMNS}
        return [{name: float(column[k]) for name, column in columns.items()} for k in range(len(self.rows))]


def series_tables(home: Repository, collections: Sequence[str] = ()) -> tuple[Table, Table]:
    """Read the light curves of a repository.

    Parameters
    ----------
    home : Repository
        The repository.
    collections : sequence of str
        Searched in order; by default the outputs of the pipelines series and lightcurve of every camera.

    Returns
    -------
    light_curve, light_curve_star : Table
        Of all tracts.

    Raises
    ------
    InputError
        If there are none.
    """
    wanted = list(collections) or [f"{camera}/{name}" for camera in home.cameras() for name in ("series", "lightcurve")]
    wanted = [name for name in wanted if home.has_collection(name)]
    found = []
    for name in ("light_curve", "light_curve_star"):
        refs = home.query(name, collections=wanted) if wanted else ()
        if not refs:
            raise InputError(
                "no light curves", source=home.path, remedy="run the pipeline series, or lightcurve after drp"
            )
        found.append(Table.concat([home.get(ref) for ref in refs]))
    return found[0], found[1]


def find_curves(
    curves: Table, stars: Table, *, ra_deg: float, dec_deg: float, radius_arcsec: float = 10.0
) -> list[StarCurve]:
    """Return the light curves nearest to a position, one per band and detector.

    Parameters
    ----------
    curves, stars : Table
        From `series_tables`.
    ra_deg, dec_deg : float
        Position, ICRS [deg].
    radius_arcsec : float
        Largest distance [arcsec].

    Returns
    -------
    list of StarCurve
        Nearest first.

    Raises
    ------
    InputError
        If no star with a light curve is so near; the message says how far the nearest is.
    """
    distance = separation_deg(stars["ra"], stars["dec"], ra_deg, dec_deg) * 3600.0
    nearest = int(np.argmin(distance))
    if not distance[nearest] <= radius_arcsec:
        raise InputError(
            "no star with a light curve there", value=(ra_deg, dec_deg),
            remedy=f"the nearest is {distance[nearest]:.1f} arcsec away: give a larger --radius, or positions in the "
            "frame of the images if no reference catalog was used",
        )  # fmt: skip
    chosen = np.flatnonzero(stars["isolated_star_id"] == stars["isolated_star_id"][nearest])
    return [curve_of(curves, stars, int(k)) for k in chosen]


def curve_of(curves: Table, stars: Table, row: int) -> StarCurve:
    """Return the light curve of one row of ``light_curve_star``.

    Parameters
    ----------
    curves, stars : Table
        From `series_tables`.
    row : int
        Which star.

    Returns
    -------
    StarCurve
    """
    star = {name: stars[name][row].item() for name in stars.names}
    mine = (curves["isolated_star_id"] == star["isolated_star_id"]) & (curves["band"] == star["band"])
    mine &= (curves["detector"] == star["detector"]) & curves["usable"]
    return StarCurve(star, curves.take(np.flatnonzero(mine)).sort_by("midpointMjdTai"))


def fit_transit(curve: StarCurve, config: TransitConfig | None = None) -> TransitFit:
    """Fit a transit to the raw light curve, in BJD (TDB).

    Parameters
    ----------
    curve : StarCurve
        The star.
    config : TransitConfig, optional
        Choices.

    Returns
    -------
    TransitFit
    """
    return TransitTask(config).run(
        time_d=curve.column("bjdTdb"), mag=curve.column("deltaMag"), mag_err=curve.column("deltaMagErr"),
        airmass=curve.column("airmass"), seeing=curve.column("fwhm"),
    )  # fmt: skip


def transit_summary(curve: StarCurve, fit: TransitFit) -> dict[str, Any]:
    """Return the numbers of a fit, the middle also in UTC at the observatory.

    Parameters
    ----------
    curve : StarCurve
        What was fitted.
    fit : TransitFit
        The fit.

    Returns
    -------
    dict
    """
    offset = np.median(curve.column("bjdTdb") - curve.column("mjdUtc"))
    mid_utc = fit.mid_time - float(offset)
    arrays = ("model_mag", "baseline_mag", "used")
    numbers = {key: value for key, value in asdict(fit).items() if key not in arrays}
    return {
        "star": curve.name, "mid_bjd_tdb": fit.mid_time, "mid_mjd_utc": mid_utc, "mid_utc_h": mid_utc % 1.0 * 24.0,
        "mid_err_h": fit.mid_time_err * 24.0, "depth_mmag": fit.depth_mag * 1e3,
        "depth_err_mmag": fit.depth_err_mag * 1e3, "duration_h": fit.duration_d * 24.0,
        "duration_err_h": fit.duration_err_d * 24.0, "red_noise_mmag": fit.red_noise_mag * 1e3,
        "baseline_model": fit.baseline_text, **numbers,
    }  # fmt: skip


def periodogram_of(curve: StarCurve) -> Periodogram:
    """Return the periodogram of the detrended light curve."""
    error = curve.column("deltaMagErr")
    return PeriodTask().run(time_d=curve.column("bjdTdb"), mag=curve.column("deltaMagDetrended"), weight=1.0 / error**2)


def draw(curve: StarCurve, fit: TransitFit | None = None) -> bytes:
    """Draw a light curve, with the transit if there is one.

    Parameters
    ----------
    curve : StarCurve
        The star.
    fit : TransitFit, optional
        Its transit.

    Returns
    -------
    bytes
        PNG.
    """
    from etendue.qa.series_plots import DifferentialCurve, TransitCurve, differential_curves_plot, transit_plot

    raw, error = curve.column("deltaMag"), curve.column("deltaMagErr")
    if fit is None:
        label = f"{curve.name}, band {curve.star['band']}, mag {curve.star['mag']:.2f}"
        detrended = curve.column("deltaMagDetrended")
        return differential_curves_plot([
            DifferentialCurve(label, curve.hours_utc, raw, error, detrended, curve.column("bjdTdb"))
        ])  # fmt: skip
    numbers = transit_summary(curve, fit)
    caption = (
        f"middle {numbers['mid_utc_h']:.3f} ± {numbers['mid_err_h']:.3f} h UTC, BJD(TDB) {fit.mid_time:.5f}\n"
        f"depth {numbers['depth_mmag']:.1f} ± {numbers['depth_err_mmag']:.1f} mmag ({fit.snr:.1f} σ), "
        f"duration {numbers['duration_h']:.2f} ± {numbers['duration_err_h']:.2f} h\n"
        f"baseline: {fit.baseline_text} ({fit.baseline_probability:.0%}); red noise {numbers['red_noise_mmag']:.1f}, "
        f"rms {fit.rms_mag * 1e3:.1f} mmag"
    )
    return transit_plot(TransitCurve(
        f"Transit of {curve.name}", caption, curve.hours_utc, raw, error, fit.model_mag, fit.baseline_mag, fit.used,
        curve.column("bjdTdb"),
    ))  # fmt: skip


def scatter_picture(stars: Table) -> bytes:
    """Draw the scatter of all stars against magnitude.

    Parameters
    ----------
    stars : Table
        ``light_curve_star``.

    Returns
    -------
    bytes
        PNG.
    """
    from etendue.qa.series_plots import scatter_plot

    mag, rms, detrended, expected, snr = (
        np.asarray(stars[name], float) for name in ("mag", "rms", "rmsDetrended", "rmsExpected", "snr")
    )
    return scatter_plot(mag, rms, detrended, expected, 1.0857362 / snr, np.asarray(stars["isVariable"], bool))


def require_folder(path: Path) -> None:
    """Refuse a file in a folder that does not exist.

    Parameters
    ----------
    path : Path
        The file that will be written.

    Raises
    ------
    InputError
        If its folder is not there.
    """
    if not path.parent.is_dir():
        raise InputError("its folder does not exist", source=path, remedy="make it, or choose another")


def write_picture(path: Path, picture: bytes) -> None:
    """Write a picture; the file appears whole or not at all."""
    require_folder(path)
    with whole_file(path, "picture") as part:
        part.write_bytes(picture)


def star_listing(stars: Table, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Return stars as dicts for people.

    Parameters
    ----------
    stars : Table
        ``light_curve_star``.
    rows : sequence of int
        Which.

    Returns
    -------
    list of dict
    """
    return [
        {"ra": round(float(stars["ra"][k]), 5), "dec": round(float(stars["dec"][k]), 5), "band": str(stars["band"][k])}
        | {name: _rounded(stars[name][k].item()) for name in _STAR_COLUMNS}
        for k in rows
    ]


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.4g}")


def position_name(ra_deg: float, dec_deg: float) -> str:
    """Return a name by position, cut off as the IAU wants it: J020410.27+464116.1."""
    tick = int(ra_deg / 15.0 * 360000.0)
    minutes, hundredths = divmod(tick, 6000)
    tenth = int(abs(dec_deg) * 36000.0)
    arcmin, tenths = divmod(tenth, 600)
    sign = "-" if dec_deg < 0.0 else "+"
    return (
        f"J{minutes // 60:02d}{minutes % 60:02d}{hundredths / 100:05.2f}"
        f"{sign}{arcmin // 60:02d}{arcmin % 60:02d}{tenths / 10:04.1f}"
    )
