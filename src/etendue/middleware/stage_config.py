"""Translate frozen pydantic configs of stages into pex_config classes and back."""

import json
import types
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from lsst.pex.config import ChoiceField, Config, ConfigField, DictField, Field, ListField, RangeField
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from etendue.errors import InputError

_SCALARS = (bool, int, float, str)
M = TypeVar("M", bound=BaseModel)


def make_config_class(model: type[BaseModel], *, name: str, module: str) -> type[Config]:
    """Return the pex_config class with the same fields, defaults, limits and docs as a pydantic model.

    Parameters
    ----------
    model : type[BaseModel]
        Frozen config of a task.
    name, module : str
        Where the new class claims to live, so that saved configs can name it.

    Returns
    -------
    type[Config]
    """
    return type(name, (Config,), {**config_namespace(model, module, Config), "__module__": module})


def config_namespace(model: type[BaseModel], module: str, base: type[Config]) -> dict[str, Any]:
    """Return the class body shared by nested and top-level derived configs.

    Parameters
    ----------
    model : type[BaseModel]
        Config to translate: nested models become ConfigField, ``tuple[X, ...]`` ListField, Literal
        ChoiceField, ge/le/gt/lt RangeField, mappings DictField; what pex_config cannot express is
        kept as JSON text.
    module : str
        Module of the nested classes.
    base : type[Config]
        Base class of the config whose body this is.

    Returns
    -------
    dict[str, Any]

    Raises
    ------
    TypeError
        A field name is already a method of pex_config's Config.
    """
    namespace: dict[str, Any] = {"__doc__": model.__doc__}
    for name, info in model.model_fields.items():
        if hasattr(base, name):
            raise TypeError(f"{model.__name__}.{name}: the name belongs to {base.__name__}; choose another")
        namespace[name] = _field(model, name, info, module)
    namespace["setDefaults"] = _set_defaults(model, base)
    namespace["validate"] = _validate(model, base)
    return namespace


def to_model(config: Config, model: type[M]) -> M:
    """Build the validated pydantic model that a pex_config instance stands for.

    Parameters
    ----------
    config : Config
        Instance of a derived class.
    model : type[BaseModel]
        The model it was derived from.

    Returns
    -------
    BaseModel

    Raises
    ------
    InputError
        A value breaks a rule of the model; names the field and the value.
    """
    try:
        return model.model_validate(_values(config, model))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or model.__name__
        raise InputError(f"config field {field}: {first['msg']}", value=first["input"]) from None


def _values(config: Config, model: type[BaseModel]) -> dict[str, Any]:
    return {name: _value(getattr(config, name), info) for name, info in model.model_fields.items()}


def _value(value: Any, info: FieldInfo) -> Any:
    kind, _ = _strip_optional(info.annotation)
    if value is None or _is_scalar(kind):
        return value
    if _is_model(kind) and isinstance(value, Config):
        return _values(value, kind)
    if _item_type(kind) is not None:
        return tuple(value)
    if _mapping_types(kind) is not None:
        return dict(value)
    if get_origin(kind) is Literal:
        return value
    return TypeAdapter(kind).validate_python(json.loads(value))


def _assign(config: Config, model: BaseModel) -> None:
    for name, info in type(model).model_fields.items():
        kind, optional = _strip_optional(info.annotation)
        value = getattr(model, name)
        if _is_model(kind) and not optional:
            _assign(getattr(config, name), value)
        else:
            setattr(config, name, _plain(kind, value))


def _plain(kind: Any, value: Any) -> Any:
    if value is None or _is_scalar(kind) or get_origin(kind) is Literal:
        return value
    if _item_type(kind) is not None:
        return list(value)
    if _mapping_types(kind) is not None:
        return dict(value)
    return TypeAdapter(kind).dump_json(value).decode()


def _set_defaults(model: type[BaseModel], base: type[Config]) -> Any:
    def set_defaults(self: Config) -> None:
        base.setDefaults(self)
        try:
            _assign(self, model())
        except ValidationError:  # a required field has no default: the pipeline has to set it
            return

    return set_defaults


def _validate(model: type[BaseModel], base: type[Config]) -> Any:
    def validate(self: Config) -> None:
        base.validate(self)
        to_model(self, model)

    return validate


def _field(model: type[BaseModel], name: str, info: FieldInfo, module: str) -> Field:
    kind, optional = _strip_optional(info.annotation)
    doc = info.description or f"{name} of {model.__name__}"
    if _is_model(kind) and not optional:
        return ConfigField(doc=doc, dtype=_nested_class(kind, module))
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return ChoiceField(doc=doc, dtype=type(choices[0]), allowed={c: str(c) for c in choices}, optional=optional)
    if _is_scalar(kind):
        return _scalar_field(kind, doc, info, optional)
    item = _item_type(kind)
    if item is not None:
        return ListField(doc=doc, dtype=item, optional=optional)
    mapping = _mapping_types(kind)
    if mapping is not None:
        return DictField(doc=doc, keytype=mapping[0], itemtype=mapping[1], optional=optional)
    return Field(doc=f"{doc} (as JSON)", dtype=str, optional=optional)


def _scalar_field(kind: type, doc: str, info: FieldInfo, optional: bool) -> Field:
    limits: dict[str, Any] = {}
    for rule in info.metadata:
        for attribute, edge, inclusive in (
            ("ge", "min", True),
            ("gt", "min", False),
            ("le", "max", True),
            ("lt", "max", False),
        ):
            value = getattr(rule, attribute, None)
            if value is not None:
                limits[edge] = kind(value)
                limits[f"inclusive{edge.capitalize()}"] = inclusive
    if limits and kind in (int, float):
        return RangeField(doc=doc, dtype=kind, optional=optional, **limits)
    return Field(doc=doc, dtype=kind, optional=optional)


@cache
def _nested_class(model: type[BaseModel], module: str) -> type[Config]:
    return make_config_class(model, name=model.__name__, module=module)


def _strip_optional(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [a for a in get_args(annotation) if a is not type(None)]
        if len(rest) == 1 and len(rest) < len(get_args(annotation)):
            return rest[0], True
    return annotation, False


def _is_scalar(kind: Any) -> bool:
    return kind in _SCALARS


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _item_type(kind: Any) -> type | None:
    if get_origin(kind) not in (tuple, list):
        return None
    items = {a for a in get_args(kind) if a is not Ellipsis}
    if len(items) == 1 and get_origin(choice := next(iter(items))) is Literal:
        items = {type(one) for one in get_args(choice)}  # which ones there are is checked by the model
    return items.pop() if len(items) == 1 and items <= set(_SCALARS) else None


def _mapping_types(kind: Any) -> tuple[type, type] | None:
    arguments = get_args(kind)
    if get_origin(kind) is dict and arguments[0] in (str, int) and arguments[1] in _SCALARS:
        return arguments[0], arguments[1]
    return None
