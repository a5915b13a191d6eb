"""Where the telescope looks, when, and how the nights are."""

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from etendue.simulate.beside import BesidePath
from etendue.simulate.night.region import RegionSpec

Declination = Annotated[float, Field(ge=-90.0, le=90.0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class TargetField(_Part):
    """A place on the sky that is looked at again and again."""

    name: str = "field"
    """Target name in the headers."""

    ra_deg: float = Field(ge=0.0, le=360.0)
    """Centre [deg]."""

    dec_deg: Declination
    """Centre [deg]."""

    weight: float = Field(1.0, gt=0.0)
    """How much more often it is visited than a field of weight 1."""


class ListedExposure(_Part):
    """One exposure of a pointing list."""

    mjd_tai: float = Field(ge=51544.0, le=84416.0)
    """Begin [day]."""

    band: str
    """Band."""

    field: str = ""
    """Name of a target; instead of ra_deg and dec_deg."""

    ra_deg: float | None = Field(None, ge=0.0, le=360.0)
    """Boresight [deg]."""

    dec_deg: Declination | None = None
    """Boresight [deg]."""

    rotation_deg: float | None = None
    """Position angle of the focal plane's y axis [deg]; the cadence's rule by default."""

    exposure_time_s: float | None = Field(None, gt=0.0)
    """Exposure time [s]; the cadence's by default."""

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if (self.ra_deg is None) != (self.dec_deg is None) or (self.ra_deg is None) == (self.field == ""):
            raise ValueError("give either field, or both ra_deg and dec_deg")
        return self


class NightPlan(_Part):
    """The exposures of one night, in order, of one field."""

    day: int = Field(ge=0)
    """Days after the first night."""

    bands: str
    """Bands of the exposures in order, one letter each."""

    begin_h: float | None = None
    """First exposure, hours after the first night's begin; by default when the field culminates, or dusk."""

    spacing_min: float = Field(11.0, gt=0.0)
    """Time from one begin to the next [min]."""


class SchedulerSpec(_Part):
    """A small scheduler: blocks of fields near the meridian, each visited twice."""

    nights: int = Field(ge=1)
    """Number of nights."""

    every_days: int = Field(1, ge=1)
    """Days from one night to the next."""

    visits_per_night: int = Field(ge=1)
    """Most visits of a night."""

    bands: str = "ugrizy"
    """Bands, one letter each; the next block takes the one that lags behind its share most, a red one by moonlight."""

    shares: dict[str, float] = {}
    """Share of the visits by band; equal by default."""

    pair_min: float = Field(25.0, ge=0.0)
    """Time between the two visits of a pair, as near as the block allows; 0 for single visits [min]."""

    overhead_s: float = Field(7.0, ge=0.0)
    """Slew and readout between exposures [s]."""

    filter_change_s: float = Field(120.0, ge=0.0)
    """Extra time of a filter change [s]."""

    max_airmass: float = Field(2.0, gt=1.0, le=5.0)
    """Fields lower than that are left out."""

    min_moon_deg: float = Field(30.0, ge=0.0)
    """Fields nearer to the moon are left out [deg]."""


class CadenceSpec(_Part):
    """When and where; one of nights, scheduler, exposures, file."""

    fields: tuple[TargetField, ...] = ()
    """Targets."""

    regions: tuple[RegionSpec, ...] = ()
    """Parts of the sky that are tiled with further targets."""

    start: str = "2025-10-01"
    """Local date on which the first night begins, YYYY-MM-DD."""

    exposure_time_s: dict[str, float] | float = 30.0
    """By band, or for all [s]."""

    dither_deg: float = Field(0.0, ge=0.0)
    """Pointings are spread evenly over a disc of this radius [deg]."""

    rotation: float | Literal["random", "sky_up"] = 0.0
    """Position angle of the focal plane's y axis [deg]; ``sky_up`` turns it to the zenith, as an alt-azimuth mount
    without rotator tracking at the begin of each exposure."""

    nights: tuple[NightPlan, ...] = ()
    """Exposures of single nights."""

    scheduler: SchedulerSpec | None = None
    """Let the scheduler choose."""

    exposures: tuple[ListedExposure, ...] = ()
    """A pointing list."""

    file: BesidePath | None = None
    """A pointing list as CSV or Parquet with the columns of `ListedExposure`; beside the survey's YAML file."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        given = [name for name in ("nights", "scheduler", "exposures", "file") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"give one of nights, scheduler, exposures, file, not {' and '.join(given) or 'none'}")
        if given[0] in ("nights", "scheduler") and not self.targets:
            raise ValueError(f"{given[0]} needs fields or regions")
        return self

    @cached_property
    def targets(self) -> tuple[TargetField, ...]:
        """All fields, those of the regions behind."""
        tiles = [
            TargetField(name=f"{region.name}{number:03d}", ra_deg=ra, dec_deg=dec, weight=region.weight)
            for region in self.regions
            for number, (ra, dec) in enumerate(zip(*(values.tolist() for values in region.centres()), strict=True))
        ]
        return (*self.fields, *tiles)


class ConditionsSpec(_Part):
    """How the nights are; every quantity drifts within a night and differs between nights."""

    seeing_arcsec: float = Field(0.75, gt=0.0)
    """Median seeing at the zenith at 500 nm [arcsec]."""

    seeing_scatter: float = Field(0.25, ge=0.0, lt=1.5)
    """Scatter of its logarithm between nights; half as much within a night."""

    correlation_h: float = Field(1.5, gt=0.0)
    """Time over which seeing and clouds change within a night [h]."""

    cloudy_nights: float = Field(0.2, ge=0.0, le=1.0)
    """Share of the nights that have clouds."""

    cloud_mag: float = Field(0.3, ge=0.0)
    """Median extinction of a cloudy night [mag]."""

    sky_scatter_mag: float = Field(0.08, ge=0.0)
    """Scatter of the dark sky's brightness between nights [mag]."""

    sky_gradient: float = Field(0.01, ge=0.0)
    """Scatter of the relative gradient of the sky, per axis [1/deg]."""

    moon: bool = True
    """Whether the moon shines."""
