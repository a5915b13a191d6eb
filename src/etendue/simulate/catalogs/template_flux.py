"""Mean fluxes of what varies, as templates show them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.catalogs.depth import njy
from etendue.simulate.population.layer import Layer
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.surveys.catalog_spec import CatalogSpec
from etendue.simulate.surveys.survey import Survey

Vector = NDArray[np.float64]
Ids = NDArray[np.int64]

VARYING = ("variables", "agn", "transients", "flashes", "curves")
"""Layers whose light changes where it is."""

MOVING = ("moving", "comets", "satellites")
"""Layers that no template shows."""


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """Mean fluxes by object, in ascending order of ids."""

    object_id: Ids
    flux: Vector


class TemplateFlux:
    """Mean fluxes of the objects of a survey over the images of its templates.

    Parameters
    ----------
    survey : Survey
        The survey.
    spec : CatalogSpec
        How many images before the first exposure.
    """

    def __init__(self, survey: Survey, spec: CatalogSpec):
        self._survey = survey
        self._layers = [layer for layer in survey.layers if layer.name in VARYING]
        first = survey.exposures[0].mjd_tai_begin
        self._epochs = first - spec.template_days * (np.arange(spec.template_visits) + 0.5) / spec.template_visits
        self._of_band = lru_cache(maxsize=32)(self._mean)

    def of(self, object_id: Ids, band: str) -> Vector:
        """Return the template fluxes of objects.

        Parameters
        ----------
        object_id : ndarray, int64, shape (n,)
            Objects.
        band : str
            Band.

        Returns
        -------
        ndarray, float64, shape (n,)
            0 for what moves or was not there [nJy].
        """
        known = self._of_band(band)
        if known.object_id.size == 0:
            return np.zeros(object_id.size)
        place = np.minimum(np.searchsorted(known.object_id, object_id), known.object_id.size - 1)
        return np.where(known.object_id[place] == object_id, known.flux[place], 0.0)

    def _mean(self, band: str) -> _Known:
        seen = [self._seen(layer, band, float(epoch)) for layer in self._layers for epoch in self._epochs]
        if not seen:
            return _Known(np.zeros(0, np.int64), np.zeros(0))
        ids, place = np.unique(np.concatenate([lights.object_id for lights in seen]), return_inverse=True)
        flux = np.concatenate([njy(lights.mag) for lights in seen])
        return _Known(ids, np.bincount(place, flux, minlength=ids.size) / self._epochs.size)

    def _seen(self, layer: Layer, band: str, mjd_tai: float) -> Lights:
        exposure = self._survey.exposures[0]
        everywhere = Moment(self._survey.bandpasses[band], mjd_tai, exposure.exposure_time_s, exposure.ra_deg,
                            exposure.dec_deg, 180.0, self._survey.camera.observatory)  # fmt: skip
        return layer.lights(everywhere)
