"""What shines in a survey: one entry per kind of object, each with its own numbers."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from etendue.simulate.population.comet_table import CometTableSpec
from etendue.simulate.population.crowded import CrowdedSpec
from etendue.simulate.population.event_tables import FlashTableSpec, NucleusTableSpec, TransientTableSpec
from etendue.simulate.population.galaxies import GalaxiesSpec
from etendue.simulate.population.light_curve_table import LightCurveTableSpec
from etendue.simulate.population.moving import BodyClass
from etendue.simulate.population.orbit_table import OrbitTableSpec
from etendue.simulate.population.satellite_table import SatelliteTableSpec
from etendue.simulate.population.satellites import Shell
from etendue.simulate.population.stars import StarsSpec
from etendue.simulate.population.transients import TransientClass
from etendue.simulate.population.user_table import TableSpec
from etendue.simulate.population.variable_table import VariableTableSpec
from etendue.simulate.population.variables import VariableStars


def _holds(table: Any) -> str:
    """Return what a table holds; stars and galaxies if it does not say."""
    return str(table.get("holds", "objects") if isinstance(table, dict) else getattr(table, "holds", "objects"))


UserTable = Annotated[
    Annotated[TableSpec, Tag("objects")]
    | Annotated[VariableTableSpec, Tag("variables")]
    | Annotated[LightCurveTableSpec, Tag("light_curves")]
    | Annotated[TransientTableSpec, Tag("transients")]
    | Annotated[NucleusTableSpec, Tag("nuclei")]
    | Annotated[FlashTableSpec, Tag("flashes")]
    | Annotated[OrbitTableSpec, Tag("orbits")]
    | Annotated[CometTableSpec, Tag("comets")]
    | Annotated[SatelliteTableSpec, Tag("satellites")],
    Discriminator(_holds),
]
"""A table of the user's; its ``holds`` says of what."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class NucleiSpec(_Part):
    """Active nuclei in the centres of galaxies, or alone where there are none."""

    count: int = Field(ge=0, le=10_000_000)
    """Number in each field."""

    brightest: float = 17.0
    """Brightest mean magnitude in i [mag]."""

    faintest: float = 24.0
    """Faintest mean magnitude in i [mag]."""


class FlashesSpec(_Part):
    """Short flashes without a host."""

    count: int = Field(0, ge=0)
    """Number in each field over the survey."""

    in_exposures: int = Field(0, ge=0)
    """So many more happen during exposures, one each, evenly spread over the survey."""

    brightest: float = 12.0
    """Brightest magnitude [mag]."""

    faintest: float = 20.0
    """Faintest magnitude [mag]."""


class CometsSpec(_Part):
    """Comets with comae."""

    count: int = Field(0, ge=0, le=1_000_000)
    """Comets on the whole sky within five years of their perihelion."""

    in_field: int = Field(0, ge=0, le=10_000)
    """Comets in each field in the middle of the survey."""

    brightest_mag: float = 0.0
    """Brightest of those in the field [mag]."""

    mag_limit: float = 22.0
    """Faintest of those in the field [mag]."""

    every_night: bool = False
    """Draw those ``in_field`` for every night instead, within ``margin_deg`` of the detectors whatever
    ``moving_margin_deg`` is: some comet is to be seen each night."""


class SkySpec(_Part):
    """All objects of a survey; what is None or empty is not there."""

    margin_deg: float = Field(0.1, ge=0.0)
    """Objects are drawn so far beyond the detectors, dithers and rotations included [deg]."""

    stars: StarsSpec | None = StarsSpec()
    """Stars of the Milky Way."""

    galaxies: GalaxiesSpec | None = GalaxiesSpec(faintest_mag=26.0)
    """Galaxies."""

    clusters: tuple[CrowdedSpec, ...] = ()
    """Globular clusters."""

    tables: tuple[UserTable, ...] = ()
    """The user's own objects of any kind; what a table ``holds`` decides its columns."""

    variables: tuple[VariableStars, ...] = ()
    """Variable stars by kind."""

    nuclei: NucleiSpec | None = None
    """Active nuclei."""

    transients: tuple[TransientClass, ...] = ()
    """Transients by kind, on the galaxies."""

    flashes: FlashesSpec | None = None
    """Flashes."""

    moving: tuple[BodyClass, ...] = ()
    """Bodies of the Solar System by class."""

    moving_mag_limit: float = 26.0
    """Faintest of those that are counted as in the field [mag]."""

    moving_margin_deg: float | None = Field(None, ge=0.0)
    """As ``margin_deg``, of bodies ``in_field``: what is in the field on one night is beside it on another; None takes
    ``margin_deg`` [deg]."""

    moving_every_night: bool = False
    """Draw bodies ``in_field`` for every night instead of the survey's middle, so that all nights have as many."""

    comets: CometsSpec | None = None
    """Comets."""

    satellites: tuple[Shell, ...] = ()
    """Artificial satellites by shell."""
