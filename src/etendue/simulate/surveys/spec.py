"""A survey in one YAML file."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from etendue.camera.camera import explain
from etendue.errors import InputError
from etendue.simulate.beside import FOLDER, beside
from etendue.simulate.ccd.spec import CcdSpec
from etendue.simulate.drawing.draw import DrawSpec
from etendue.simulate.light.air import Air
from etendue.simulate.light.dust import Dust
from etendue.simulate.light.lsst_bands import BANDS
from etendue.simulate.night.spec import CadenceSpec, ConditionsSpec
from etendue.simulate.surveys.calibration_spec import CalibrationSpec
from etendue.simulate.surveys.catalog_spec import CatalogSpec
from etendue.simulate.surveys.crosstalk_spec import DetectorCrosstalkSpec
from etendue.simulate.surveys.sky_spec import SkySpec
from etendue.simulate.surveys.truth_spec import TruthSpec
from etendue.simulate.telescope.spec import TelescopeSpec


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class RefcatSpec(_Part):
    """The reference catalog that comes with the survey."""

    faint_mag: float = 20.5
    """Stars brighter than this in ``band`` [mag]."""

    band: str = ""
    """Band of the limit; by default the bluest in use, in which a catalog of redder light would go deeper."""

    position_mas: float = Field(5.0, ge=0.0)
    """Error per axis [mas]."""

    magnitude: float = Field(0.005, ge=0.0)
    """Error [mag]."""


class SurveySpec(_Part):
    """A simulated survey: sky, nights, telescope, CCDs, calibration frames."""

    name: str
    """Name."""

    description: str = ""
    """One line for people."""

    camera: str = "simcam"
    """Shipped camera, or a camera YAML file."""

    detectors: tuple[int, ...] = ()
    """Detectors that are read; all by default."""

    bands: dict[str, str] = {}
    """Bandpass of a band: a letter of ``ugrizy``, or a table file; by default the band's own letter."""

    area_m2: float = Field(0.5, gt=0.0)
    """Collecting area [m**2]."""

    sky: SkySpec = SkySpec()
    """What shines."""

    dust: Dust = Dust()
    """Dust of the Galaxy."""

    cadence: CadenceSpec
    """When and where the telescope looks."""

    conditions: ConditionsSpec = ConditionsSpec()
    """How the nights are."""

    air: Air = Air()
    """Clear air above the site."""

    telescope: TelescopeSpec = TelescopeSpec()
    """Air's blur and optics."""

    ccd: CcdSpec = CcdSpec.everything()
    """What the CCDs do."""

    detector_crosstalk: DetectorCrosstalkSpec | None = None
    """Crosstalk between detectors; None for none."""

    draw: DrawSpec = DrawSpec()
    """How exactly sources are drawn."""

    calibrations: CalibrationSpec = CalibrationSpec()
    """Calibration frames."""

    refcat: RefcatSpec = RefcatSpec()
    """Reference catalog."""

    truth: TruthSpec = TruthSpec()
    """What is kept of the truth about pixels."""

    catalog: CatalogSpec | None = None
    """Make catalogs of a perfect pipeline instead of frames."""

    @field_validator("camera")
    @classmethod
    def _camera_beside(cls, name: str, info: ValidationInfo) -> str:
        return str(beside(Path(name), info)) if name.endswith((".yaml", ".yml")) else name

    @field_validator("bands")
    @classmethod
    def _bands_beside(cls, bands: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        return {band: name if name in BANDS else str(beside(Path(name), info)) for band, name in bands.items()}

    @classmethod
    def read(cls, path: Path) -> "SurveySpec":
        """Read a YAML file; files that it names lie beside it.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        SurveySpec

        Raises
        ------
        InputError
            One line that names the file, the entry, the value and the remedy.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", source=path) from None
        except yaml.YAMLError as error:
            raise InputError(f"is not YAML: {error}", source=path, remedy="correct the line named") from None
        if not isinstance(content, dict):
            raise InputError("holds no survey", source=path, remedy="see docs/user/simulator.md")
        return cls.parse(content, path, path.parent)

    @classmethod
    def parse(cls, content: dict[str, Any], source: Path | str, folder: Path | None = None) -> "SurveySpec":
        """Check a survey.

        Parameters
        ----------
        content : dict
            Nested settings.
        source : path
            Named in errors.
        folder : Path, optional
            Where files lie that are named without a folder; by default where the program runs.

        Returns
        -------
        SurveySpec

        Raises
        ------
        InputError
            If something is wrong.
        """
        try:
            return cls.model_validate(content, context={FOLDER: folder})
        except ValidationError as error:
            raise explain(error, source, "survey") from None
