"""Signatures of attrs classes for the API reference: griffe reads source, and there attrs has none."""

import inspect
import re
from importlib import import_module
from typing import Any

import attrs
import griffe

_MODULE = re.compile(r"\b[a-z_]\w*(?:\.[a-z_]\w*)*\.(?=[A-Za-z_])")


class AttrsSignatures(griffe.Extension):
    """Gives each attrs class the `__init__` that attrs makes for it, unless it has one of its own."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Look at the class as it is at run time."""
        if not any(decorator.callable_path.startswith("attrs.") for decorator in cls.decorators):
            return
        if "__init__" in cls.members:
            return
        made = getattr(import_module(cls.module.path), cls.name)
        init = griffe.Function("__init__", parent=cls, parameters=griffe.Parameters(*_parameters(made)))
        init.docstring = None
        cls.set_member("__init__", init)


def _parameters(made: type[Any]) -> list[griffe.Parameter]:
    fields = {field.alias: field for field in attrs.fields(made) if field.init}
    return [
        griffe.Parameter(
            name,
            annotation=None
            if name == "self"
            else _MODULE.sub("", inspect.formatannotation(parameter.annotation)),
            kind=getattr(griffe.ParameterKind, parameter.kind.name.lower()),
            default=_default(fields[name].default) if name in fields else None,
        )
        for name, parameter in inspect.signature(made.__init__).parameters.items()
    ]


def _default(default: Any) -> str | None:
    if default is attrs.NOTHING:
        return None
    value = default.factory() if isinstance(default, attrs.Factory) else default
    # An object whose repr is its address is shown as what makes it: the signature would not be Python.
    shown = f"{type(value).__name__}()" if " at 0x" in repr(value) else repr(value)
    return getattr(value, "__name__", shown)
