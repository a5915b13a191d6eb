"""Layer of fast flashes: unidentified points that last for seconds to minutes."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from etendue.simulate.population.blackbody import blackbody_mag, effective_wavelength_nm, monochromatic_mag
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.layer import Field as SkyField
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment, inside_circle
from etendue.simulate.population.variables import draw_mags
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]

_ENDS = 30.0  # decay times after which nothing is left


class FlashSpec(BaseModel):
    """Fast flashes of the survey."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    first_mjd_tai: float
    """First time of the survey [day]."""

    last_mjd_tai: float
    """Last time of the survey [day]."""

    count: int = Field(0, ge=0, le=100_000_000)
    """Number in the field between these times, day and night."""

    during_exposures_mjd_tai: tuple[float, ...] = ()
    """Beginnings of exposures in each of which one more flash goes off [day]."""

    brightest: float = 12.0
    """Brightest peak, AB magnitude [mag]."""

    faintest: float = 20.0
    """Faintest peak [mag]."""

    shortest_s: float = Field(0.1, gt=0.0)
    """Shortest decay time; decay times are even in their logarithm [s]."""

    longest_s: float = Field(100.0, gt=0.0)
    """Longest decay time [s]."""


class FlashLayer:
    """Flashes at a moment: a sudden rise, an exponential decay, averaged over the exposure.

    Parameters
    ----------
    objects : dict of ndarray
        As drawn by `make`.
    """

    name = "flashes"

    def __init__(self, objects: Columns):
        self.objects = objects

    @classmethod
    def make(cls, spec: FlashSpec, field: SkyField, seed: int, copy: int = 0) -> "FlashLayer":
        """Draw the flashes of a survey.

        Parameters
        ----------
        spec : FlashSpec
            How many, how bright, how long.
        field : Field
            Where.
        seed : int
            Seed of the survey.
        copy : int
            Number of the layer among those of its kind.

        Returns
        -------
        FlashLayer
        """
        rng, n = stream(seed, "flashes", copy), spec.count + len(spec.during_exposures_mjd_tai)
        ra, dec = field.scatter(rng, n)
        start = np.append(
            rng.uniform(spec.first_mjd_tai, spec.last_mjd_tai, spec.count), np.array(spec.during_exposures_mjd_tai)
        )
        return cls(
            {
                "object_id": layer_ids("flashes", n, copy),
                "ra_deg": ra,
                "dec_deg": dec,
                "start_mjd_tai": start,
                "peak_mag": draw_mags(rng, n, spec.brightest, spec.faintest, 0.3),
                "decay_s": np.exp(rng.uniform(np.log(spec.shortest_s), np.log(spec.longest_s), n)),
                "temperature_k": np.exp(rng.uniform(np.log(6000.0), np.log(40000.0), n)),
            }
        )

    def lights(self, moment: Moment) -> Lights:
        """Return the flashes that give light during the exposure inside the moment's circle.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
        """
        rows = inside_circle(self.objects["ra_deg"], self.objects["dec_deg"], moment)
        flash = {name: column[rows] for name, column in self.objects.items()}
        half = 0.5 * moment.exposure_time_s
        since = (moment.mjd_tai - flash["start_mjd_tai"]) * 86400.0
        begin, end = np.maximum(since - half, 0.0) / flash["decay_s"], (since + half) / flash["decay_s"]
        alive = (end > 0.0) & (begin < _ENDS)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            share = flash["decay_s"] / moment.exposure_time_s * (np.exp(-begin) - np.exp(-end))
            mag = flash["peak_mag"] - 2.5 * np.log10(share)
        temperature = flash["temperature_k"]
        # Peak magnitudes are those at 550 nm; a black body gives the colour.
        color = blackbody_mag(moment.bandpass, temperature) - monochromatic_mag(550.0, temperature)
        wave = effective_wavelength_nm(moment.bandpass, temperature)
        lights = Lights.points(flash["object_id"], flash["ra_deg"], flash["dec_deg"], mag + color, wave)
        return lights.take(alive)
