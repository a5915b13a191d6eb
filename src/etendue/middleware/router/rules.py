"""The rules of a router: which datasets go to which sinks, from one YAML file."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from etendue.camera.camera import explain
from etendue.errors import InputError

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
PLACEHOLDERS = frozenset({"dataset_type", "data_id", "run", "id", "id8"})
"""What names of files and arguments of commands may hold in braces, besides the dimensions of a data ID."""
OF_COMMANDS = frozenset({"path", "key", "repository"})
"""What only arguments of commands may hold."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Retries(_Part):
    """How often and when a delivery that failed is tried again."""

    attempts: int = Field(8, ge=1)
    """Attempts at one dataset before it is a dead letter. A sink that is down costs none."""

    first_s: float = Field(2.0, gt=0.0)
    """Pause after the first failure [s]; it doubles each time."""

    longest_s: float = Field(300.0, gt=0.0, le=86400.0)
    """Longest pause [s]."""


class Retention(_Part):
    """When what was delivered is deleted again at the sink; without limits never."""

    days: float | None = Field(None, gt=0.0)
    """Delete what was delivered longer ago [day]."""

    gigabytes: float | None = Field(None, gt=0.0)
    """Keep the last so many, delete what was delivered before [10^9 bytes]."""

    @property
    def limited(self) -> bool:
        """Whether anything is ever deleted."""
        return self.days is not None or self.gigabytes is not None


class _SinkSpec(_Part):
    retries: Retries = Retries()
    """When to try again."""


class RepositorySpec(_SinkSpec):
    """Another repository."""

    kind: Literal["repository"]
    """Always this."""

    path: Path
    """Its folder."""

    verify: Literal["checksum", "content"] = "checksum"
    """Compare the bytes of files, or read both and compare content hashes too."""

    collections: bool = True
    """Make chains, tags and validity ranges there as they are here, of what is there."""

    retention: Retention = Retention()
    """When replicas are deleted."""


class DirectorySpec(_SinkSpec):
    """A folder of plain files."""

    kind: Literal["directory"]
    """Always this."""

    path: Path
    """The folder; it must exist, so that a disk that is not mounted is noticed."""

    layout: str = "{dataset_type}/{data_id}_{id8}"
    """Name of a file inside it, without its ending. Of datasets with one name the newest stays."""

    uncompressed: bool = False
    """Write FITS images without tile compression, for programs that cannot read it."""

    retention: Retention = Retention()
    """When files are deleted."""

    @field_validator("layout")
    @classmethod
    def _inside(cls, layout: str) -> str:
        if layout.startswith("/") or ".." in layout.split("/"):
            raise ValueError("leads out of the folder")
        return layout


class CommandSpec(_SinkSpec):
    """A program, started once per dataset without a shell."""

    kind: Literal["command"]
    """Always this."""

    command: tuple[str, ...] = Field(min_length=1)
    """Program and arguments, with ``{path}``, ``{dataset_type}``, ``{visit}``..."""

    timeout_s: float = Field(600.0, gt=0.0)
    """A program that runs longer is stopped, with all that it started [s]."""

    parallel: int = Field(1, ge=1, le=64)
    """How many run at a time."""

    refuse: tuple[int, ...] = ()
    """Exit statuses that make a dead letter at once; any other but 0 is tried again."""


class StreamRetention(_Part):
    """How long events can be asked for."""

    days: float | None = Field(None, gt=0.0)
    """Forget older ones [day]."""

    events: int = Field(100_000, ge=1)
    """Keep the last so many."""


class StreamSpec(_SinkSpec):
    """A stream of events over HTTP."""

    kind: Literal["stream"]
    """Always this."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = Field(8765, ge=0, le=65535)
    """Port; 0 takes a free one."""

    public: bool = False
    """Whether others than this machine may read everything that the rules name."""

    preview_px: int = Field(360, ge=16, le=4096)
    """Longest side of previews [px]."""

    retention: StreamRetention = StreamRetention()
    """Which events are kept."""

    @model_validator(mode="after")
    def _private(self) -> "StreamSpec":
        if self.host not in _LOOPBACK and not self.public:
            raise ValueError(f"host {self.host} is open to other machines, without any password; say public: true")
        return self


SinkSpec = Annotated[RepositorySpec | DirectorySpec | CommandSpec | StreamSpec, Field(discriminator="kind")]
"""Any sink."""


class Rule(_Part):
    """Which datasets go where."""

    name: str = Field(pattern=_NAME)
    """Part of the key of every delivery: a rule of another name delivers anew."""

    datasets: tuple[str, ...] = Field(min_length=1)
    """Dataset types; ``*`` and ``?`` stand for any text."""

    where: str = ""
    """Data ID expression as in LSST's tools: ``visit > 5 AND band = 'r'``."""

    collections: tuple[str, ...] = ("*",)
    """Where to look: runs, tags, chains, with ``*`` and ``?``; all runs by default."""

    existing: bool = True
    """Whether what was there before the rule goes too."""

    sinks: tuple[str, ...] = Field(min_length=1)
    """Names of sinks."""

    @field_validator("datasets", "collections", "sinks", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Rules(_Part):
    """All rules and sinks of a router."""

    sinks: dict[Annotated[str, Field(pattern=_NAME)], SinkSpec] = Field(min_length=1)
    """By name."""

    rules: tuple[Rule, ...] = Field(min_length=1)
    """Each is applied by itself."""

    @model_validator(mode="after")
    def _fit(self) -> "Rules":
        names = [rule.name for rule in self.rules]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two rules are named {twice}")
        for rule in self.rules:
            if unknown := next((name for name in rule.sinks if name not in self.sinks), None):
                raise ValueError(f"rule {rule.name} names the sink {unknown}; there are {', '.join(self.sinks)}")
        return self

    @classmethod
    def read(cls, path: Path) -> "Rules":
        """Read a YAML file; paths in it are relative to its folder.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        Rules

        Raises
        ------
        InputError
            It cannot be read, or something in it is wrong.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError("no such file", source=path, remedy="see docs/user/router.md") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"is not YAML: {error}", source=path, remedy="correct the line named") from None
        if not isinstance(content, dict):
            raise InputError("holds no rules", source=path, remedy="see docs/user/router.md")
        try:
            return cls.model_validate(content)._beside(path.resolve().parent)
        except ValidationError as error:
            raise explain(error, path, "rules") from None

    def _beside(self, folder: Path) -> "Rules":
        placed = {
            name: sink.model_copy(update={"path": folder / sink.path.expanduser()})
            if isinstance(sink, RepositorySpec | DirectorySpec)
            else sink
            for name, sink in self.sinks.items()
        }
        return self.model_copy(update={"sinks": placed})

    def require_known_placeholders(self, dimensions: frozenset[str], source: object) -> None:
        """Refuse braces that nothing fills.

        Parameters
        ----------
        dimensions : frozenset of str
            Dimensions of the repository.
        source : object
            File named in the error.

        Raises
        ------
        InputError
            A layout or a command has one.
        """
        for name, sink in self.sinks.items():
            known = PLACEHOLDERS | dimensions
            texts: tuple[str, ...] = ()
            if isinstance(sink, DirectorySpec):
                texts = (sink.layout,)
            elif isinstance(sink, CommandSpec):
                texts, known = sink.command, known | OF_COMMANDS
            for text in texts:
                if wrong := next((found for found in placeholders(text) if found not in known), None):
                    raise InputError(
                        f"sink {name}: {{{wrong}}} stands for nothing", source=source, value=text,
                        remedy=f"use {', '.join(sorted(known - dimensions))} or a dimension such as visit",
                    )  # fmt: skip


def placeholders(text: str) -> list[str]:
    """Return the names in braces.

    Parameters
    ----------
    text : str
        ``"{dataset_type}/{visit}"``.
    """
    return re.findall(r"\{([^{}]*)\}", text)


def fill(text: str, values: dict[str, str]) -> str:
    """Put values into a text.

    Parameters
    ----------
    text : str
        With names in braces.
    values : dict of str to str
        What they stand for.

    Raises
    ------
    KeyError
        A value is missing.
    """
    return re.sub(r"\{([^{}]*)\}", lambda found: values[found.group(1)], text)
