"""Who observed with what: the file ``submission.yaml`` beside a repository's data."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etendue.camera.camera import Camera
from etendue.disk import whole_file
from etendue.errors import InputError

FILE_NAME = "submission.yaml"
_EDIT = "EDIT ME"


class SubmissionSettings(BaseModel):
    """What no header says."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    station: str = Field(pattern=r"^([A-Z0-9][0-9]{2}|XXX)$")
    """Observatory code of the MPC."""

    submitter: str = Field(min_length=1, max_length=100)
    """Who sends the file: A. Bcdef."""

    observers: tuple[str, ...] = Field(min_length=1)
    """Who observed."""

    measurers: tuple[str, ...] = Field(min_length=1)
    """Who measured."""

    telescope: str = ""
    """Name of the telescope."""

    design: str = Field("Reflector", min_length=1, max_length=25)
    """Reflector, Refractor, Schmidt..."""

    aperture_m: float = Field(gt=0.0, lt=100.0)
    """Aperture [m]."""

    detector: str = Field("CCD", min_length=1, max_length=25)
    """CCD or CMOS."""

    astrometric_catalog: str = "UNK"
    """ADES name of the reference catalog: Gaia2, Gaia3, UCAC4..."""

    mpc_bands: dict[str, str] = {}
    """ADES band of the camera's bands."""

    tns_reporter: str = Field("", max_length=1000)
    """Reporters as the TNS shows them: A. Bcdef (Institute), on behalf of..."""

    tns_reporting_group_id: str = ""
    """Number of your group at the TNS."""

    tns_data_source_id: str = ""
    """Number of the data source at the TNS; mostly that of the group."""

    tns_instrument_id: str = ""
    """Number of the instrument at the TNS."""

    tns_filter_ids: dict[str, str] = {}
    """Number of the TNS's filter for the camera's bands."""


def load_settings(repository: Path) -> SubmissionSettings:
    """Read ``submission.yaml``.

    Parameters
    ----------
    repository : Path
        Folder of the repository.

    Returns
    -------
    SubmissionSettings

    Raises
    ------
    InputError
        If it is missing, not filled in, or wrong: one line names the field.
    """
    path = repository / FILE_NAME
    if not path.is_file():
        raise InputError("no such file", source=path, remedy=f"write it with 'etendue submit init -b {repository}'")
    try:
        state = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise InputError(f"is no YAML: {error}", source=path, remedy="correct it") from None
    if not isinstance(state, dict):
        raise InputError(
            "holds no fields", source=path, remedy=f"write it anew with 'etendue submit init -b {repository}'"
        )
    for name, value in state.items():
        if _EDIT in str(value):
            raise InputError(f"is not filled in: {name}", source=path, remedy="edit the file")
    try:
        return SubmissionSettings.model_validate(state)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{field}: {first['msg']}", source=path, value=first.get("input"), remedy="edit the file"
        ) from None


def write_template(repository: Path, camera: Camera) -> Path:
    """Write ``submission.yaml`` with what the camera tells and places for the rest.

    Parameters
    ----------
    repository : Path
        Folder of the repository.
    camera : Camera
        The camera.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If it exists.
    """
    path = repository / FILE_NAME
    if path.exists():
        raise InputError("exists", source=path, remedy="edit it, or move it away")
    site = camera.observatory
    code = site.mpc_code if site is not None and site.mpc_code else "XXX"
    bands = tuple(dict.fromkeys(entry.band for entry in camera.filters))
    lines = [
        "# Read by 'etendue submit'. Nothing is ever sent: check the files, then send them yourself.",
        f'station: "{code}"              # observatory code of the MPC; XXX if there is none yet',
        f"submitter: {_EDIT}          # A. Bcdef",
        f"observers: [{_EDIT}]        # [A. Bcdef, G. Hijkl]",
        f"measurers: [{_EDIT}]",
        f"telescope: {site.name if site is not None else ''}",
        "design: Reflector",
        f"aperture_m: {_EDIT}         # 1.07",
        "detector: CCD",
        "astrometric_catalog: UNK     # of --refcat: Gaia2, Gaia3, UCAC4, Tyc2, PS1_DR1...",
        f"mpc_bands: {{}}                # where names differ: {{{bands[0]}: Vj}}",
        'tns_reporter: ""              # A. Bcdef (Institute)',
        'tns_reporting_group_id: ""    # numbers from www.wis-tns.org/api/values',
        'tns_data_source_id: ""',
        'tns_instrument_id: ""',
        f"tns_filter_ids: {{}}           # {{{', '.join(f'{band}: 0' for band in bands)}}}",
    ]
    with whole_file(path, "submission") as part:
        part.write_text("\n".join(lines) + "\n")
    return path
