"""Turn the measurements of a series into light curves of all its stars."""

from dataclasses import dataclass

import numpy as np

from etendue.camera.camera import Camera
from etendue.errors import AlgorithmError
from etendue.log import get_logger
from etendue.stages.stage import Input, Output, Prerequisite, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.lightcurve.curve_tables import light_curve_star_table, light_curve_table
from etendue.tasks.lightcurve.effects import effect_table
from etendue.tasks.lightcurve.light_curves import LightCurves, LightCurvesConfig, LightCurvesTask
from etendue.tasks.lightcurve.series import Series, assemble_series

_log = get_logger(__name__)


class BuildLightCurvesConfig(StageConfig):
    """Configuration of `BuildLightCurves`."""

    light_curves: LightCurvesConfig = LightCurvesConfig()
    """Ensemble photometry, systematics, trends, variability."""

    min_images: int = 5
    """Series of fewer images are left out."""


@dataclass(frozen=True)
class BuildLightCurvesResult:
    """Light curves, their stars, and the effects that all stars share."""

    light_curve: Table
    light_curve_star: Table
    effects: Table


class BuildLightCurves(Stage[BuildLightCurvesConfig]):
    """Solve each band and detector of a tract as one series; no pixel is read."""

    dimensions = ("instrument", "skymap", "tract")
    sources = Input(
        "series_source", ("instrument", "visit", "detector", "skymap", "tract"), "EtendueTable", multiple=True
    )
    stars = Input("series_star", ("instrument", "skymap", "tract"), "EtendueTable")
    summaries = Input("visit_summary", ("instrument", "visit"), "EtendueTable", multiple=True)
    camera = Prerequisite("camera", ("instrument",), "EtendueCamera")
    light_curve = Output("light_curve", ("instrument", "skymap", "tract"), "EtendueTable")
    light_curve_star = Output("light_curve_star", ("instrument", "skymap", "tract"), "EtendueTable")
    effects = Output("series_effect", ("instrument", "skymap", "tract"), "EtendueTable")

    def run(
        self, *, sources: tuple[Table, ...], stars: Table, summaries: tuple[Table, ...], camera: Camera
    ) -> BuildLightCurvesResult:
        """Make the light curves.

        Raises
        ------
        AlgorithmError
            If no band has enough images and comparison stars.
        """
        summary, curves = Table.concat(summaries), []
        for series in assemble_series(sources, stars):
            curves += self._solved(series)
        if not curves:
            raise AlgorithmError("no series has enough images", images=len(sources), needed=self.config.min_images)
        place = camera.observatory
        site = (np.nan,) * 3 if place is None else (place.longitude_deg, place.latitude_deg, place.elevation_m)
        return BuildLightCurvesResult(
            light_curve=Table.concat([light_curve_table(c, site=site) for c in curves]),
            light_curve_star=Table.concat(
                [light_curve_star_table(c, zero_point_mag=_zero_point(c.series, summary)) for c in curves]
            ),
            effects=Table.concat([effect_table(c) for c in curves]),
        )

    def _solved(self, series: Series) -> list[LightCurves]:
        """Return the light curves of a series; none where the data defeat it, which is logged."""
        name = f"band {series.band}, detector {series.detector}"
        if series.visit.size < self.config.min_images:
            _log.warning("%s: %d images make no light curves", name, series.visit.size)
            return []
        try:
            return [LightCurvesTask(self.config.light_curves).run(series=series)]
        except AlgorithmError as error:
            _log.warning("%s: no light curves: %s", name, error)
            return []


def _zero_point(series: Series, summary: Table) -> float:
    """Return the magnitude of one electron per second on the scale of the images, the median of the series."""
    mine = np.isin(summary["visit"], series.visit) & (summary["detector"] == series.detector)
    seconds = np.where(summary["expTime"] > 0.0, summary["expTime"], 1.0)
    zero = (summary["zeroPoint"] - 2.5 * np.log10(seconds))[mine]
    return float(np.nanmedian(zero)) if np.isfinite(zero).any() else 0.0
