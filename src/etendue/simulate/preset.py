"""What is simulated: the shipped survey presets."""

from pydantic import BaseModel, ConfigDict, Field

from etendue.errors import InputError


class Night(BaseModel):
    """The visits of one night."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    day: int
    """Days after the first night."""

    filters: str
    """Bands of the visits in order, one letter each."""

    spacing_min: float = 11.0
    """Time from one begin to the next [min]."""


class SurveyPreset(BaseModel):
    """A small survey of one field with the camera ``simcam``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """Name."""

    detectors: tuple[int, ...] = (0, 1)
    """Detectors that are read."""

    nights: tuple[Night, ...]
    """Nights in order of time."""

    n_bias: int = Field(ge=0)
    """Bias frames."""

    n_flat: int = Field(ge=0)
    """Flats per filter."""

    n_stars: int = 1500
    """Stars on the rectangle around both detectors."""

    n_galaxies: int = 700
    """Galaxies there."""

    ra_deg: float = 330.1
    """Field centre [deg]."""

    dec_deg: float = -29.9
    """Field centre [deg]."""

    start_mjd_tai: float = 60949.06
    """Begin of the first visit [day]; the field is near the meridian."""

    dither_px: float = 40.0
    """Largest shift of a pointing per axis [px]."""

    @property
    def filters(self) -> tuple[str, ...]:
        """Bands in use, sorted."""
        return tuple(sorted({band for night in self.nights for band in night.filters}))


_PRESETS = {
    "smoke": SurveyPreset(
        name="smoke",
        detectors=(0,),
        nights=(Night(day=0, filters="rr"), Night(day=2, filters="r")),
        n_bias=3,
        n_flat=3,
    ),
    "demo": SurveyPreset(
        name="demo",
        nights=(Night(day=0, filters="rrgrrgrrgrrg"), Night(day=2, filters="rrrr")),
        n_bias=7,
        n_flat=5,
    ),
}


def load_preset(name: str) -> SurveyPreset:
    """Return a shipped preset.

    Parameters
    ----------
    name : str
        ``smoke`` or ``demo``.

    Returns
    -------
    SurveyPreset

    Raises
    ------
    InputError
        If there is no such preset.
    """
    if name not in _PRESETS:
        raise InputError("no such survey preset", value=name, remedy=f"use one of {', '.join(_PRESETS)}")
    return _PRESETS[name]
