"""Catalog services: addresses, tables, columns and limits, from one YAML file and the user's own."""

import os
from collections.abc import Mapping
from functools import cache, reduce
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etendue.errors import InputError

_CONFIG_VARIABLE = "ETENDUE_REFCAT_CONFIG"
_URL_VARIABLE = "ETENDUE_REFCAT_URL_{0}"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ServiceBand(_Part):
    """One band of a service's catalog."""

    offset: float = 0.0
    """AB minus catalog magnitude [mag]."""

    brightest: float = -30.0
    """Brighter stars are saturated there: their flux is NaN [mag]."""

    floor: float = Field(0.0, ge=0.0)
    """Calibration error that the catalog's own errors do not hold, added in quadrature [mag]."""


class Faintest(_Part):
    """The magnitude down to which stars are fetched."""

    band: str
    """Band of the service."""

    mag: float
    """Limit in the catalog's own magnitudes [mag]."""


class Provider(_Part):
    """A TAP server that has the catalog."""

    name: str
    """Short name, for messages."""

    url: str = Field(pattern=r"^https?://")
    """TAP base address."""

    table: str
    """Table name in ADQL, quoted where needed."""

    columns: Mapping[str, str]
    """Our name to the table's column, quoted where needed."""

    units: Mapping[str, str] = {}
    """Units of columns whose FIELD says none, by our name."""


class Service(_Part):
    """A reference catalog that is fetched piece by piece."""

    name: str
    """What the user types."""

    title: str
    """Catalog and paper."""

    release: str
    """Release; part of the cache's name."""

    version: int
    """Raised whenever other columns, cuts or units are cached."""

    faintest: Faintest
    """Depth."""

    southernmost_dec_deg: float = -90.0
    """The survey does not reach farther south [deg]."""

    epoch_year: float | None = None
    """Epoch of all positions where rows have none [Julian year]."""

    ids: Literal["whole", "position"] = "whole"
    """Whether ids are whole numbers of the catalog or made from positions."""

    bands: Mapping[str, ServiceBand]
    """Bands, in the catalog's own system."""

    providers: tuple[Provider, ...] = Field(min_length=1)
    """Servers, asked in this order."""

    timeout_s: float = Field(gt=0.0)
    """Longest wait for a server to answer [s]."""

    tries: int = Field(ge=1)
    """Attempts per server."""

    pause_s: float = Field(ge=0.0)
    """Pause after the first failed attempt, doubled after every other [s]."""

    tile_order: int = Field(ge=3, le=12)
    """HEALPix order of the cached tiles."""

    row_limit: int = Field(ge=1)
    """Most rows asked for in one query; a tile that has more is asked for in quarters."""

    @property
    def folder(self) -> str:
        """Name of the cache's folder: equal names hold equal stars."""
        return f"{self.name}-{self.release}-v{self.version}-{self.faintest.band}{self.faintest.mag:g}"


def service_names() -> tuple[str, ...]:
    """Return what can be fetched.

    Returns
    -------
    tuple of str
        In the order of the file.
    """
    return tuple(name for name in _shipped() if name != "defaults")


def load_service(name: str) -> Service:
    """Return a service with the user's changes applied.

    Parameters
    ----------
    name : str
        As `service_names` gives it, or one that the user's own file defines.

    Returns
    -------
    Service

    Raises
    ------
    InputError
        If there is no such service, or the user's file is wrong.
    """
    merged = reduce(_merged, [_shipped(), _own()])
    if name == "defaults" or name not in merged:
        known = ", ".join(key for key in merged if key != "defaults")
        raise InputError("no such catalog service", value=name, remedy=f"use one of {known}, or a file or folder")
    try:
        service = Service.model_validate({"name": name, **merged["defaults"], **merged[name]})
    except (ValidationError, TypeError) as error:
        reason = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        key = ".".join(str(part) for part in reason["loc"])
        raise InputError(f"{name}.{key}: {reason['msg']}", source=_own_path(), remedy="correct it") from None
    url = os.environ.get(_URL_VARIABLE.format(name.upper()))
    if url is None:
        return service
    return service.model_copy(update={"providers": (service.providers[0].model_copy(update={"url": url}),)})


@cache
def _shipped() -> dict[str, Any]:
    return yaml.safe_load(resources.files("etendue.refcat").joinpath("services.yaml").read_text())


def _own_path() -> Path:
    given = os.environ.get(_CONFIG_VARIABLE)
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Path(given) if given else home / "etendue" / "refcat.yaml"


def _own() -> dict[str, Any]:
    path = _own_path()
    if not path.exists() and _CONFIG_VARIABLE not in os.environ:
        return {}
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot be read: {error}", source=path, remedy=f"correct it, or {_CONFIG_VARIABLE}") from None
    if not isinstance(content, dict):
        raise InputError("holds no services", source=path, remedy="write it like etendue's own services.yaml")
    return content


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``change`` laid over it, mapping by mapping."""
    nested = {
        key: _merged(base[key], value)
        for key, value in change.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }
    return {**base, **change, **nested}
