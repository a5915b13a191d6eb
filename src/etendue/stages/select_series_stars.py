"""List the stars of a field whose light curves will be measured."""

from dataclasses import dataclass

import numpy as np

from etendue.errors import AlgorithmError
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.lightcurve.series import N_APERTURES, RADII_KEY
from etendue.tasks.lightcurve.star_list import StarListConfig, StarListTask


class SelectSeriesStarsConfig(StageConfig):
    """Configuration of `SelectSeriesStars`."""

    stars: StarListConfig = StarListConfig()
    """What counts as one star."""

    aperture_factors: tuple[float, ...] = (0.9, 1.1, 1.3, 1.5, 1.75, 2.1, 2.6, 3.2)
    """Aperture radii in units of the median seeing (FWHM) of the series, eight and rising."""


@dataclass(frozen=True)
class SelectSeriesStarsResult:
    """Stars and, in the metadata, aperture radii."""

    stars: Table


class SelectSeriesStars(Stage[SelectSeriesStarsConfig]):
    """Keep everything that recurs on the images of a tract, isolated or not, and choose apertures by the seeing."""

    dimensions = ("instrument", "skymap", "tract")
    sources = Input("source", ("instrument", "visit", "detector"), "EtendueTable", multiple=True)
    summaries = Input("visit_summary", ("instrument", "visit"), "EtendueTable", multiple=True)
    isolated_stars = Input("isolated_star", ("instrument", "skymap", "tract"), "EtendueTable")
    stars = Output("series_star", ("instrument", "skymap", "tract"), "EtendueTable")

    def run(
        self,
        *,
        sources: tuple[Table, ...],
        summaries: tuple[Table, ...],
        isolated_stars: Table,
        data_id: dict[str, int | str],
    ) -> SelectSeriesStarsResult:
        """Make the list; the radii are the same for all images of the tract.

        Raises
        ------
        AlgorithmError
            If nothing recurs, the seeing is unknown, or there are not eight radii.
        """
        summary = Table.concat(summaries)
        scale = float(np.nanmedian(summary["pixelScale"]))
        fwhm = float(np.nanmedian(summary["seeing"] / summary["pixelScale"]))
        if not fwhm > 0.0 or len(self.config.aperture_factors) != N_APERTURES:
            raise AlgorithmError("no aperture radii", fwhm_px=fwhm, factors=self.config.aperture_factors)
        positions = []
        for table in sources:
            good = np.flatnonzero(np.isfinite(table["ra"]) & np.isfinite(table["dec"]) & ~table["centroid_flag"])
            positions.append((np.asarray(table["ra"])[good], np.asarray(table["dec"])[good]))
        found = StarListTask(self.config.stars).run(
            positions=positions, isolated=isolated_stars, pixel_scale_arcsec=scale, tract=int(data_id["tract"])
        )
        columns = {
            "isolated_star_id": found.star_id, "ra": found.ra_deg, "dec": found.dec_deg, "nSource": found.n_images,
            "isIsolated": found.is_isolated,
        }  # fmt: skip
        radii = ",".join(f"{factor * fwhm:.3f}" for factor in self.config.aperture_factors)
        return SelectSeriesStarsResult(stars=Table("series_star", columns, {RADII_KEY: radii}))
