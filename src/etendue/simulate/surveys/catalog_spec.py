"""Catalogs instead of frames: how deep, how exact and how clean a perfect pipeline is."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class FalseSpec(_Part):
    """Detections of nothing."""

    per_deg2: float | None = Field(None, ge=0.0, le=100_000.0)
    """Number per square degree of detector; by default that of the peaks of Gaussian noise [1/deg**2]."""

    negative_fraction: float = Field(0.5, ge=0.0, le=1.0)
    """Share of negative ones, in differences."""

    near_star_fraction: float = Field(0.0, ge=0.0, le=1.0)
    """Share that lies around bright stars; without stars these are spread evenly."""

    star_mag: float = 17.0
    """Stars are bright up to this magnitude [mag]."""

    near_star_arcsec: float = Field(5.0, gt=0.0)
    """The number falls exponentially with the distance from the star, with this scale [arcsec]."""

    dipole_fraction: float = Field(0.0, ge=0.0, le=1.0)
    """Share of dipoles, which sit on the bright stars, in differences."""

    artefact_fraction: float = Field(0.0, ge=0.0, le=1.0)
    """Share of elongated artefacts, such as remains of cosmic rays and streaks."""

    artefact_arcsec: float = Field(3.0, gt=0.0)
    """Mean length of artefacts; lengths are distributed exponentially [arcsec]."""

    tail: float = Field(2.0, gt=0.0)
    """The number of those that are not noise falls with this power of the signal-to-noise ratio."""

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        total = self.near_star_fraction + self.dipole_fraction + self.artefact_fraction
        if total > 1.0:
            raise ValueError(f"shares of false detections sum to {total:g}, above 1")
        return self


class CatalogSpec(_Part):
    """Source tables as a perfect pipeline would write them."""

    source: bool = True
    """Write what is seen on the images."""

    dia_source: bool = True
    """Write what is seen on their differences from templates: what varies and what moves."""

    depth_mag: dict[str, float] = {}
    """Magnitude of a point with a signal-to-noise ratio of 5 on an image, by band; for other bands it follows from
    seeing, sky, read noise, zero point and vignetting [AB mag]."""

    detection_snr: float = Field(5.0, ge=3.0)
    """Signal-to-noise ratio that is detected; if 5, half of the sources at the depth are found."""

    completeness_width_mag: float = Field(0.0, ge=0.0, le=1.0)
    """Scatter of that threshold, which widens the completeness beyond what the noise does [mag]."""

    efficiency: float = Field(1.0, gt=0.0, le=1.0)
    """Share of the bright sources that are found."""

    astrometric_floor_mas: float = Field(5.0, ge=0.0)
    """Error per axis of the brightest sources [mas]."""

    photometric_floor: float = Field(0.005, ge=0.0)
    """Relative error of the fluxes of the brightest sources."""

    template_visits: int = Field(20, ge=1)
    """Images in a template: their noise is in the differences, the mean flux of variables is subtracted."""

    template_days: float = Field(365.0, gt=0.0)
    """These are spread evenly over so many days before the first exposure [day]."""

    blend_fwhm: float = Field(0.7, ge=0.0)
    """Sources nearer than this, in units of the PSF's FWHM, merge into the brightest of them."""

    longest_trail_arcsec: float = Field(60.0, gt=0.0)
    """Longer trails are masked as streaks and not in the catalogs [arcsec]."""

    edge_px: float = Field(0.0, ge=0.0)
    """Sources nearer than this to the edges of their detector are lost [px]."""

    truth_snr: float = Field(1.0, ge=0.0)
    """Objects with a smaller expected signal-to-noise ratio are not among the lost ones of the truth."""

    false_source: FalseSpec = FalseSpec(per_deg2=0.0)
    """False detections on images."""

    false_dia_source: FalseSpec = FalseSpec()
    """False detections on differences."""
