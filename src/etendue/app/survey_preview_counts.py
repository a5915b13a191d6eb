"""What a simulated survey's truth says of the numbers of its objects, beside what others have counted."""

import numpy as np
from numpy.typing import NDArray

from etendue.app.survey_preview_sky import depth_mag, on_detectors
from etendue.qa.clustering import angular_correlation, mean_over_pairs, neighbour_share
from etendue.qa.survey_count_plots import Clustering, CountsPanel, Published
from etendue.simulate.light.galactic import to_galactic
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.population.galaxy_layer import GalaxyLayer
from etendue.simulate.population.layer import Field
from etendue.simulate.population.published_counts import (
    CLUSTERING_MAGS,
    galaxy_correlation,
    galaxy_counts_i,
    star_counts,
)
from etendue.simulate.population.star_layer import StarLayer
from etendue.simulate.random_streams import stream
from etendue.simulate.surveys.sky_layers import survey_fields
from etendue.simulate.surveys.survey import Survey

Vector = NDArray[np.float64]

_KINDS = {"stars": "stars", "crowded": "cluster", "galaxies": "galaxies", "table": "table"}
_FEWEST_GALAXIES = 50
_SMALLEST_ARCSEC, _BINS = 2.0, 9
_GAPS_ARCSEC = np.linspace(0.0, 6.0, 61)


def count_panels(survey: Survey) -> list[CountsPanel]:
    """Return number counts: on the detectors, and of the whole field where others have counted too.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    list of CountsPanel
        Empty without stars, galaxies, clusters and tables.
    """
    panels = [_on_detectors(survey)] if any(layer.name in _KINDS for layer in survey.layers) else []
    field = _field(survey)
    stars, galaxies = _stars_of(survey), galaxies_of(survey)
    if galaxies is not None and survey.spec.sky.galaxies is not None:
        spec = survey.spec.sky.galaxies
        x, y = galaxy_counts_i()
        shown = (x > spec.brightest_mag) & (x < spec.faintest_mag)
        label = "LSST Science Book" + _times(spec.density)
        mags = {"galaxies": galaxies.objects["i_mag_0"]}
        panels.append(CountsPanel("Galaxies of the field", "i, without dust [AB mag]", field.area_deg2, mags,
                                  Published(label, x[shown], spec.density * y[shown])))  # fmt: skip
    if stars is not None and survey.spec.sky.stars is not None:
        panels.append(_star_panel(stars, field, survey.spec.sky.stars.density))
    return [panel for panel in panels if panel.mags]


def clustering(survey: Survey) -> Clustering | None:
    """Return how the galaxies of the first field cluster.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    Clustering or None
        None without galaxies, or with few.
    """
    layer = galaxies_of(survey)
    if layer is None:
        return None
    field, rng = _field(survey), stream(survey.seed, "preview of clustering")
    places = np.stack(field.from_sky(layer.objects["ra"], layer.objects["dec"]), axis=1)
    low, high = CLUSTERING_MAGS
    chosen = (layer.objects["i_mag_0"] > low) & (layer.objects["i_mag_0"] < high)
    exposure = _reference(survey)
    bright = layer.magnitudes(survey.bandpasses[exposure.band])[0] < depth_mag(survey, exposure)
    if min(int(chosen.sum()), int(bright.sum())) < _FEWEST_GALAXIES:
        return None
    half = field.half_width_deg, field.half_height_deg
    edges = np.geomspace(_SMALLEST_ARCSEC / 3600.0, 0.7 * min(half), _BINS + 1)
    found, error = angular_correlation(places[chosen], half, edges, rng)
    separation = 60.0 * np.sqrt(edges[1:] * edges[:-1])
    lost = mean_over_pairs(lambda apart: galaxy_correlation(60.0 * apart), half, rng)
    expected = galaxy_correlation(separation) - lost
    density = bright.sum() / field.area_deg2 / 3600.0**2
    return Clustering(
        separation_arcmin=separation, correlation=found, error=error,
        published=Published("SDSS, 21 < r < 22 (Connolly et al. 2002), in so small a field", separation, expected),
        gap_arcsec=_GAPS_ARCSEC, share=neighbour_share(places[bright], _GAPS_ARCSEC / 3600.0),
        even_share=-np.expm1(-np.pi * _GAPS_ARCSEC**2 * density),
        seeing_arcsec=float(np.median([one.seeing_arcsec for one in survey.exposures])),
        label=f"{int(chosen.sum())} of {low:g} < i < {high:g}",
    )  # fmt: skip


def galaxies_of(survey: Survey) -> GalaxyLayer | None:
    """Return the galaxies of the first field.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    GalaxyLayer or None
    """
    return next((layer for layer in survey.layers if isinstance(layer, GalaxyLayer)), None)


def _stars_of(survey: Survey) -> StarLayer | None:
    return next((layer for layer in survey.layers if isinstance(layer, StarLayer) and layer.name == "stars"), None)


def _field(survey: Survey) -> Field:
    return survey_fields(survey.camera, survey.exposures, survey.spec.sky.margin_deg)[0]


def _reference(survey: Survey) -> PlannedExposure:
    """Return the first exposure in r, or the first of all."""
    return next((one for one in survey.exposures if one.band == "r"), survey.exposures[0])


def _on_detectors(survey: Survey) -> CountsPanel:
    exposure = _reference(survey)
    mags: dict[str, Vector] = {}
    for name, kind in _KINDS.items():
        found = [on_detectors(survey, exposure, layer).mag for layer in survey.layers if layer.name == name]
        if found and np.concatenate(found).size:
            mags[kind] = np.concatenate(found)
    area = sum(d.bbox.area for d in survey.detectors) * (survey.camera.plate_scale / 3600.0) ** 2
    light = f"{exposure.band} [AB mag]"
    return CountsPanel("On the detectors", light, area, mags, depth_mag=depth_mag(survey, exposure))


def _star_panel(layer: StarLayer, field: Field, density: float) -> CountsPanel:
    g, r = (layer.magnitudes(lsst_band(name))[0] for name in "gr")
    latitude = float(to_galactic(np.array([field.ra_deg]), np.array([field.dec_deg]))[1][0])
    x, y = star_counts(latitude)
    visual = g - 0.5784 * (g - r) - 0.0038  # Lupton (2005)
    title = f"Stars of the field, b = {latitude:.0f} deg"
    published = Published("Allen (2000), all longitudes" + _times(density), x, density * y) if x.size else None
    return CountsPanel(title, "V [mag]", field.area_deg2, {"stars": visual}, published)


def _times(density: float) -> str:
    return "" if density == 1.0 else f", times {density:g}"
