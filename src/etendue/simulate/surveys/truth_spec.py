"""How much of the truth about pixels is kept."""

from pydantic import BaseModel, ConfigDict, Field


class TruthSpec(BaseModel):
    """Masks of the truth."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    masks: bool = True
    """Keep which pixels of every science frame are struck, saturated, bled into, or on a streak, and the defects."""

    streak_noise: float = Field(0.3, gt=0.0)
    """A pixel is on a streak where the trails there are expected to be brighter than this, in units of the noise of sky
    and read-out."""

    streak_fwhm: float = Field(2.0, ge=0.0)
    """Trails of movers that are shorter than this many widths of the seeing are no streaks; those of satellites are,
    whatever their length, glints too."""
