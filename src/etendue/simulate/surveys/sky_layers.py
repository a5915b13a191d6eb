"""Make the layers of a survey's sky."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from etendue.camera.camera import Camera
from etendue.geom.sphere import separation_deg
from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.dust import Dust
from etendue.simulate.light.lsst_bands import BANDS, lsst_band, read_bandpass
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.population.agn import AgnLayer, AgnSpec
from etendue.simulate.population.comets import CometLayer, CometSpec
from etendue.simulate.population.crowded import make_crowded
from etendue.simulate.population.flashes import FlashLayer, FlashSpec
from etendue.simulate.population.galaxies import make_galaxies
from etendue.simulate.population.galaxy_layer import GalaxyLayer
from etendue.simulate.population.hosts import Hosts
from etendue.simulate.population.layer import Field, Layer
from etendue.simulate.population.moving import MovingLayer, MovingSpec
from etendue.simulate.population.satellites import SatelliteLayer, SatelliteSpec
from etendue.simulate.population.stars import make_stars
from etendue.simulate.population.transients import TransientLayer, TransientSpec
from etendue.simulate.population.variables import VariableLayer, VariableSpec
from etendue.simulate.surveys.sky_spec import CometsSpec, SkySpec
from etendue.simulate.surveys.user_layers import make_user_layer

_LEAST_SPAN_DAY = 1.0
_LAST_COPY = 255  # layers of tables are counted from the end, those of fields from the beginning


def survey_fields(camera: Camera, exposures: Sequence[PlannedExposure], margin_deg: float) -> list[Field]:
    """Return rectangles of sky that hold all exposures; pointings closer than two radii share one.

    Parameters
    ----------
    camera : Camera
        Its focal plane.
    exposures : sequence of PlannedExposure
        Pointings.
    margin_deg : float
        Added on every side [deg].

    Returns
    -------
    list of Field
    """
    reach = reach_deg(camera) + margin_deg
    places = np.array([(exposure.ra_deg, exposure.dec_deg) for exposure in exposures])
    left = np.arange(len(places))
    fields = []
    while left.size:  # the first that belongs to no field begins one
        near = separation_deg(*places[left].T, *places[left[0]]) < 2.0 * reach
        fields.append(_around(places[left[near]], reach))
        left = left[~near]
    return fields


def reach_deg(camera: Camera) -> float:
    """Return the largest field angle of any pixel, whatever the rotation.

    Parameters
    ----------
    camera : Camera
        The camera.

    Returns
    -------
    float
        [deg].
    """
    corners = [np.hypot(*d.center_mm) / d.pixel_size_mm + 0.5 * np.hypot(*d.bbox.shape) for d in camera.detectors]
    return float(max(corners)) * camera.plate_scale / 3600.0


def _around(places: NDArray[np.float64], reach: float) -> Field:
    ra, dec = (float(value) for value in places[0])
    spread = float(separation_deg(ra, dec, *places.T).max())
    return Field(ra, dec, spread + reach, spread + reach)


def make_layers(
    spec: SkySpec, dust: Dust, camera: Camera, exposures: Sequence[PlannedExposure], seed: int
) -> tuple[Layer, ...]:
    """Draw everything that shines in a survey.

    Parameters
    ----------
    spec : SkySpec
        What there is.
    dust : Dust
        Dust of the Galaxy.
    camera : Camera
        Its field of view.
    exposures : sequence of PlannedExposure
        Where and when the survey looks.
    seed : int
        Seed of the survey.

    Returns
    -------
    tuple of Layer
        Layers of the same kind in several fields have the numbers of the fields in their ids.
    """
    fields = survey_fields(camera, exposures, spec.margin_deg)
    begin, end = exposures[0].mjd_tai_begin, exposures[-1].mjd_tai_mid
    span = begin, max(end, begin + _LEAST_SPAN_DAY)
    bands = tuple(dict.fromkeys(exposure.band for exposure in exposures))
    layers: list[Layer] = [
        make_user_layer(table, _LAST_COPY - number, bands, span, dust, seed) for number, table in enumerate(spec.tables)
    ]
    layers += [make_crowded(cluster, seed, dust, number) for number, cluster in enumerate(spec.clusters)]
    for number, field in enumerate(fields):
        layers += _fixed_and_varying(spec, dust, field, span, exposures, seed, number)
    if spec.moving or spec.satellites or spec.comets is not None:
        wide = spec.margin_deg if spec.moving_margin_deg is None else spec.moving_margin_deg
        wider = survey_fields(camera, exposures, wide)
        layers += _above_the_earth(spec, wider, span, exposures, seed)
        if spec.comets is not None:
            near = fields if spec.comets.every_night else wider
            layers += _comets(spec.comets, near, _epochs(spec.comets.every_night, span, exposures), seed)
    return tuple(layers)


def _fixed_and_varying(
    spec: SkySpec, dust: Dust, field: Field, span: tuple[float, float], exposures: Sequence[PlannedExposure],
    seed: int, copy: int,
) -> Iterator[Layer]:  # fmt: skip
    """Give the layers of one field that stay where they are."""
    hosts = None
    if spec.stars is not None:
        yield make_stars(spec.stars, field, seed, dust, copy)
    if spec.galaxies is not None:
        galaxies = make_galaxies(spec.galaxies, field, seed, dust, copy)
        hosts = _hosts(galaxies)
        yield galaxies
    first, last = span
    if spec.variables:
        variables = VariableSpec(first_mjd_tai=first, last_mjd_tai=last, stars=spec.variables, dust=dust)
        yield VariableLayer.make(variables, field, seed, copy)
    if spec.nuclei is not None:
        yield AgnLayer.make(AgnSpec(**spec.nuclei.model_dump(), dust=dust), field, seed, hosts, copy)
    if spec.transients:
        events = TransientSpec(first_mjd_tai=first, last_mjd_tai=last, classes=spec.transients, dust=dust)
        yield TransientLayer.make(events, field, seed, hosts, copy)
    if spec.flashes is not None:
        chosen = np.linspace(0, len(exposures) - 1, spec.flashes.in_exposures).astype(int)
        flashes = FlashSpec(
            first_mjd_tai=first, last_mjd_tai=last, count=spec.flashes.count, brightest=spec.flashes.brightest,
            faintest=spec.flashes.faintest,
            during_exposures_mjd_tai=tuple(exposures[k].mjd_tai_mid for k in chosen),
        )  # fmt: skip
        yield FlashLayer.make(flashes, field, seed, copy)


def _above_the_earth(
    spec: SkySpec, fields: list[Field], span: tuple[float, float], exposures: Sequence[PlannedExposure], seed: int
) -> Iterator[Layer]:
    """Give what moves: bodies are drawn around the first field, satellites around the Earth."""
    epochs = _epochs(spec.moving_every_night, span, exposures)
    for copy, (field, epoch) in enumerate(product(fields, epochs)):
        # Bodies of the whole sky are drawn once, those in a field for each.
        classes = tuple(one if copy == 0 else one.model_copy(update={"count": 0}) for one in spec.moving)
        if any(one.count or one.in_field for one in classes):
            bodies = MovingSpec(epoch_mjd_tai=epoch, classes=classes, mag_limit=spec.moving_mag_limit)
            yield MovingLayer.make(bodies, field, seed, copy)
    if spec.satellites:
        yield SatelliteLayer.make(SatelliteSpec(epoch_mjd_tai=span[0], shells=spec.satellites), fields[0], seed)


def _comets(spec: CometsSpec, fields: list[Field], epochs: list[float], seed: int) -> Iterator[Layer]:
    """Give comets: those of the whole sky once, those in a field for each and every epoch."""
    for copy, (field, epoch) in enumerate(product(fields, epochs)):
        count = spec.count if copy == 0 else 0
        if count or spec.in_field:
            limits = {"brightest_mag": spec.brightest_mag, "mag_limit": spec.mag_limit}
            comets = CometSpec(epoch_mjd_tai=epoch, count=count, in_field=spec.in_field, **limits)
            yield CometLayer.make(comets, field, seed, copy)


def _epochs(every_night: bool, span: tuple[float, float], exposures: Sequence[PlannedExposure]) -> list[float]:
    """Return when bodies are drawn into a field: in the middle of the survey, or in that of every night."""
    return _nights(exposures) if every_night else [0.5 * (span[0] + span[1])]


def _nights(exposures: Sequence[PlannedExposure]) -> list[float]:
    """Return the middle of the exposures of every night [day, TAI]."""
    times: dict[int, list[float]] = {}
    for exposure in exposures:
        times.setdefault(exposure.day_obs, []).append(exposure.mjd_tai_mid)
    return [0.5 * (found[0] + found[-1]) for found in times.values()]


def _hosts(galaxies: GalaxyLayer) -> Hosts:
    """Return the galaxies as hosts, chosen by their light in i."""
    columns = galaxies.objects
    return Hosts(
        columns["object_id"], columns["ra"], columns["dec"], columns["redshift"], columns["half_light"],
        columns["e1"], columns["e2"], 10.0 ** (-0.4 * (columns["i_mag_0"] - 20.0)),
    )  # fmt: skip


def bandpass_of(band: str, source: str | None) -> Bandpass:
    """Return the bandpass of a band.

    Parameters
    ----------
    band : str
        Band.
    source : str or None
        A letter of ``ugrizy``, a table file, or None for the band's own letter.

    Returns
    -------
    Bandpass

    Raises
    ------
    InputError
        If there is none.
    """
    name = source or band
    if name in BANDS:
        made = lsst_band(name)
        return Bandpass(band, made.wavelength_nm, made.throughput)
    return read_bandpass(Path(name), band)
