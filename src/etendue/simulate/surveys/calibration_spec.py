"""The calibration frames of a survey."""

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class ScreenSpec(_Part):
    """How uneven the light of a flat-field screen is over the field; the sky's light is even."""

    tilt: tuple[float, float] = (0.0, 0.0)
    """Relative change along x and y of the focal plane [1/deg]."""

    bowl: float = 0.0
    """Relative change with the square of the field angle [1/deg**2]."""


class TwilightSpec(_Part):
    """Flats of the evening sky, stars in them, before the first exposure of the survey."""

    count: int = Field(5, ge=1)
    """Frames of every band."""

    electrons: float = Field(20000.0, gt=0.0)
    """Level; it changes by 10% (standard deviation) from one to the next, as guesses of the exposure time do [e]."""

    gradient: float = Field(0.03, ge=0.0)
    """Relative change of the sky per degree, brighter towards the sun [1/deg]."""

    dither_arcsec: float = Field(30.0, ge=0.0)
    """The telescope moves by so much between frames, so that stars can be told from the flat [arcsec]."""

    fading_s: float = Field(180.0, gt=0.0)
    """Time in which the sky fades by a factor e: exposures grow from one to the next [s]."""


class SpotSpec(_Part):
    """Spots of a projector, on one amplifier of each detector at a time: what else is seen is crosstalk."""

    electrons: tuple[float, ...] = (70000.0,)
    """Levels [e]."""

    repeats: int = Field(3, ge=1)
    """Frames of each level and amplifier."""

    radius_px: float = Field(60.0, gt=1.0)
    """Radius of a spot [px]."""


class CalibrationSpec(_Part):
    """Calibration frames, taken in the afternoon before the first night and, on demand, before every other."""

    bias: int = Field(7, ge=0)
    """Bias frames."""

    dark: int = Field(0, ge=0)
    """Dark frames of every exposure time."""

    dark_s: float | tuple[float, ...] = 300.0
    """Their exposure time, or several [s]."""

    flat: int = Field(5, ge=0)
    """Flats of every band."""

    flat_electrons: float = Field(30000.0, gt=0.0)
    """Level of a flat; it changes by 3% from one to the next [e]."""

    flat_pairs: tuple[float, ...] = ()
    """Levels of pairs of flats of one band, for photon transfer curves [e]."""

    pair_band: str = ""
    """Band of the pairs; the bluest in use by default."""

    lamp_e_s: float = Field(6000.0, gt=0.0)
    """Light of the flat-field lamp: levels over it are the exposure times [e/s]."""

    lamp_scatter: float = Field(0.0, ge=0.0, le=0.1)
    """Relative scatter of the lamp from frame to frame."""

    screen: ScreenSpec | None = None
    """How uneven the screen is; None for even light."""

    twilight: TwilightSpec | None = None
    """Flats of the evening sky."""

    spots: SpotSpec | None = None
    """Spots of a projector."""

    nightly_bias: int = Field(0, ge=0)
    """Bias frames before every night after the first."""

    nightly_flat: int = Field(0, ge=0)
    """Flats of every band before every night after the first."""

    @property
    def dark_times_s(self) -> tuple[float, ...]:
        """Exposure times of the darks, one for each frame."""
        times = self.dark_s if isinstance(self.dark_s, tuple) else (self.dark_s,)
        return tuple(seconds for seconds in times for _ in range(self.dark))

    def count(self, n_bands: int, n_amplifiers: int) -> int:
        """Return the largest number of calibration frames before any night.

        Parameters
        ----------
        n_bands : int
            Bands in use, or more.
        n_amplifiers : int
            Most amplifiers of a detector.

        Returns
        -------
        int
        """
        flats = self.flat * n_bands + 2 * len(self.flat_pairs)
        twilight = 0 if self.twilight is None else self.twilight.count * n_bands
        spots = 0 if self.spots is None else len(self.spots.electrons) * self.spots.repeats * n_amplifiers
        first = self.bias + len(self.dark_times_s) + flats + twilight + spots
        return max(first, self.nightly_bias + self.nightly_flat * n_bands)
