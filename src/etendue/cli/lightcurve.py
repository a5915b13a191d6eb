"""Command that shows and exports light curves."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etendue.cli.output import print_json, print_table
from etendue.cli.repository import AS_JSON

if TYPE_CHECKING:
    from etendue.app.light_curves import StarCurve
    from etendue.table.table import Table

_BEST = 10


@click.command(short_help="Show, draw, fit or export light curves.")
@click.option("-b", "--repo", required=True, type=click.Path(path_type=Path), help="The repository.")
@click.option("--ra", type=float, help="Right ascension of a star [deg]; without it all stars are listed.")
@click.option("--dec", type=float, help="Declination [deg].")
@click.option("--radius", type=float, default=10.0, show_default=True, help="How near the star must be [arcsec].")
@click.option("--band", help="Band, if the star has several.")
@click.option("--transit", is_flag=True, help="Fit a transit or eclipse and its baseline.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Write a PNG.")
@click.option("--format", "file_format", type=click.Choice(["csv", "parquet", "aavso"]), help="Write a file.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file; default by position.")
@click.option("--observer", default="", help="AAVSO observer code.")
@click.option("--name", default="", help="Name of the star for the AAVSO.")
@AS_JSON
def lightcurve(
    repo: Path, ra: float | None, dec: float | None, radius: float, band: str | None, transit: bool, plot: Path | None,
    file_format: str | None, output: Path | None, observer: str, name: str, as_json: bool,
) -> None:  # fmt: skip
    """Show the light curve of the star at RA, DEC; without a position, list variables and the best stars."""
    from etendue.app.light_curves import draw, find_curves, fit_transit, series_tables, transit_summary, write_picture
    from etendue.errors import InputError
    from etendue.middleware.repository import Repository

    curves, stars = series_tables(Repository.open(repo, writeable=False))
    if (ra is None) != (dec is None):
        raise InputError("a position needs both --ra and --dec")
    if ra is None or dec is None:
        if transit:
            raise InputError("a transit is fitted to one star", remedy="give --ra and --dec")
        _show_all(curves, stars, plot, file_format, output, as_json)
        return
    found = find_curves(curves, stars, ra_deg=ra, dec_deg=dec, radius_arcsec=radius)
    curve = _of_band(found, band)
    fit = fit_transit(curve) if transit else None
    summary = None if fit is None else transit_summary(curve, fit)
    if as_json:
        print_json({"star": curve.star, "light_curve": curve.listing(), "transit": summary})
    else:
        _show_star(curve, summary)
    if plot is not None:
        write_picture(plot, draw(curve, fit))
        click.echo(f"picture: {plot}", err=True)
    if file_format is not None:
        from etendue.app.light_curve_export import export_curve

        target = output or Path(f"{curve.name}.{'txt' if file_format == 'aavso' else file_format}")
        export_curve(curve, target, file_format, observer=observer, name=name)
        click.echo(f"light curve: {target}", err=True)


def _of_band(found: list["StarCurve"], band: str | None) -> "StarCurve":
    from etendue.errors import InputError

    bands = sorted({str(curve.star["band"]) for curve in found})
    if band is None and len(bands) > 1:
        raise InputError("the star has light curves in several bands", value=bands, remedy="choose one with --band")
    mine = [curve for curve in found if band is None or curve.star["band"] == band]
    if not mine:
        raise InputError("the star has no light curve in this band", value=band, remedy=f"there are {', '.join(bands)}")
    return max(mine, key=lambda curve: len(curve.rows))


def _show_star(curve: "StarCurve", summary: dict[str, Any] | None) -> None:
    star = curve.star
    click.echo(
        f"{curve.name}, band {star['band']}: mag {star['mag']:.3f}, {star['nUsable']} of {star['nImage']} images, rms "
        f"{1e3 * star['rms']:.1f} mmag raw, {1e3 * star['rmsDetrended']:.1f} detrended, usual "
        f"{1e3 * star['rmsExpected']:.1f}; {'variable' if star['isVariable'] else 'not claimed to vary'}"
    )
    print_table([
        {"UTC [MJD]": f"{row['mjdUtc']:.6f}", "BJD(TDB)": f"{row['bjdTdb']:.6f}", "airmass": f"{row['airmass']:.3f}",
         "Δmag": f"{row['deltaMag']:+.4f}", "error": f"{row['deltaMagErr']:.4f}",
         "detrended": f"{row['deltaMagDetrended']:+.4f}"}
        for row in curve.listing()
    ])  # fmt: skip
    if summary is not None:
        click.echo(
            f"transit: middle {summary['mid_utc_h']:.3f} ± {summary['mid_err_h']:.3f} h UTC = BJD(TDB) "
            f"{summary['mid_bjd_tdb']:.5f}; depth {summary['depth_mmag']:.1f} ± {summary['depth_err_mmag']:.1f} mmag "
            f"({summary['snr']:.1f} sigma); duration {summary['duration_h']:.2f} ± {summary['duration_err_h']:.2f} h; "
            f"baseline {summary['baseline_model']} ({summary['baseline_probability']:.0%}); red noise "
            f"{summary['red_noise_mmag']:.1f} mmag"
        )


def _show_all(
    curves: "Table", stars: "Table", plot: Path | None, file_format: str | None, output: Path | None, as_json: bool
) -> None:
    import numpy as np

    from etendue.app.light_curves import scatter_picture, star_listing, write_picture

    variable = np.flatnonzero(stars["isVariable"])
    best = np.argsort(np.where(stars["flag_incomplete"], np.inf, np.nan_to_num(stars["rmsDetrended"], nan=np.inf)))[
        :_BEST
    ]
    listing = {"variable": star_listing(stars, variable.tolist()), "best": star_listing(stars, best.tolist())}
    if as_json:
        print_json({"stars": len(stars), **listing})
    else:
        click.echo(f"{len(stars)} stars")
        print_table(listing["variable"], title="Variable")
        print_table(listing["best"], title="Least scatter")
    if plot is not None:
        write_picture(plot, scatter_picture(stars))
        click.echo(f"picture: {plot}", err=True)
    if file_format is not None:
        from etendue.app.light_curve_export import export_all

        target = output or Path(f"light_curves.{file_format}")
        export_all(curves, target, file_format)
        click.echo(f"light curves: {target}", err=True)
