"""How the brightness of reference stars in a band follows from the bands of their catalog."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class BandRule(BaseModel):
    """A colour term: ``wanted = band + polynomial(colour) + offset``, or a mean of bands."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    band: str = ""
    """Band of the catalog nearest to the wanted one."""

    color: tuple[str, str] | None = None
    """The colour is the magnitude in the first band minus that in the second."""

    polynomial: tuple[float, ...] = (0.0,)
    """Coefficients of ``wanted - band`` in rising powers of the colour [mag]."""

    range: tuple[float, float] = (-10.0, 10.0)
    """Colours for which the polynomial holds [mag]; the flux of other stars is NaN."""

    scatter: float = Field(0.0, ge=0.0)
    """Scatter of stars about the polynomial, added in quadrature to their errors [mag]."""

    offset: float = 0.0
    """AB minus the magnitude that the polynomial gives [mag]."""

    system: Literal["ab", "catalog"] = "ab"
    """Whether the polynomial takes AB magnitudes or those of the catalog as published (Vega for Gaia and 2MASS)."""

    mean_of: tuple[str, ...] = ()
    """Instead of all this: the flux is the mean of these bands' fluxes."""

    source: str = ""
    """Where the numbers are from."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.band) == bool(self.mean_of):
            raise ValueError("give either 'band' or 'mean_of'")
        if len(self.polynomial) > 1 and self.color is None:
            raise ValueError("a polynomial of a colour needs 'color'")
        return self
