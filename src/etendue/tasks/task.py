"""One algorithm: a frozen config and a pure run."""

from typing import Any, ClassVar, Generic, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict


class TaskConfig(BaseModel):
    """Numbers and choices of an algorithm: frozen, typo-proof, documented where they are declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


C = TypeVar("C", bound=TaskConfig)


def config_class_of(cls: type, generic: type) -> type[TaskConfig] | None:
    """Return the config class written in the brackets of a base, ``class PsfTask(Task[PsfConfig])``.

    Parameters
    ----------
    cls : type
        The class that was just defined.
    generic : type
        The base class whose argument counts; its subclasses count too.

    Returns
    -------
    type[TaskConfig] or None
        None where no base carries a concrete config class.
    """
    for base in vars(cls).get("__orig_bases__", ()):  # its own bases: an inherited argument must not win
        origin = get_origin(base)
        if isinstance(origin, type) and issubclass(origin, generic):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, TaskConfig):
                    return argument
    return None


class Task(Generic[C]):
    """Base of every algorithm; a subclass adds a pure ``run`` that reads no file and changes no argument.

    Parameters
    ----------
    config : TaskConfig, optional
        Instance of ``config_class``; all defaults when left out.

    Raises
    ------
    TypeError
        The config belongs to another task.
    """

    config_class: ClassVar[type[TaskConfig]] = TaskConfig

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.config_class = config_class_of(cls, Task) or cls.config_class

    def __init__(self, config: C | None = None):
        if config is not None and not isinstance(config, self.config_class):
            raise TypeError(
                f"{type(self).__name__} needs a {self.config_class.__name__}, got a {type(config).__name__}"
            )
        self.config: C = cast(C, self.config_class()) if config is None else config
