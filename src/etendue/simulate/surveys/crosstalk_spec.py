"""How detectors of one focal plane talk into each other."""

from pydantic import BaseModel, ConfigDict, Field

from etendue.simulate.beside import BesidePath


class DetectorCrosstalkSpec(BaseModel):
    """Crosstalk between detectors whose amplifiers are read at the same time by the same electronics.

    A frame takes the light of every detector of its board: it costs as much as all of them. Within a detector,
    ``ccd.crosstalk`` acts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    board: int = Field(3, ge=2, le=1000)
    """Detectors that follow each other in the camera's list share a board, so many each."""

    linear: float = Field(2e-5, ge=0.0, le=0.1)
    """Typical coefficient between amplifiers of the same number on neighbouring detectors; others fall off with the
    differences of both numbers."""

    scatter: float = Field(0.3, ge=0.0, le=1.0)
    """Relative standard deviation of the coefficients."""

    quadratic: float = 0.0
    """Typical quadratic coefficient, falling off likewise [1/ADU]."""

    table: BesidePath | None = None
    """Coefficients of the user's in place of drawn ones, for any two detectors: columns ``detector``, ``victim``,
    ``aggressor_detector``, ``aggressor`` (numbers of detectors, names of amplifiers), ``linear``, optional
    ``quadratic`` (0). The truth's ``detector_crosstalk`` is such a table."""
