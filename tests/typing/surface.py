"""The public surface as text, read from the sources: `python -m tests.typing.surface` records it."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import griffe

CHECKOUT = Path(__file__).parents[2]
RECORDED = Path(__file__).with_name("surface.txt")

# A module is public when it has an `__all__`; these do without one.
_WITHOUT_ALL = frozenset({"errors", "shared_rate", "testing"})


def surface(package: str = "gameye_async", checkout: Path = CHECKOUT) -> str:
    """Every public name of a package with its signature, much as in a stub file.

    Nothing is imported, so that it does not matter how the package finds its names at run time.
    """
    root = griffe.load(package, search_paths=[checkout], allow_inspection=False)
    assert isinstance(root, griffe.Module)
    exports = {module.path: _exported(module) for module in (root, *root.modules.values())}
    public = {thing.path for things in exports.values() for thing in things}
    homes: dict[str, str] = {}
    lines: list[str] = []
    for path, things in exports.items():
        lines += [path] if things else []
        for thing in things:
            home = homes.setdefault(thing.path, path)
            lines += _indented(_described(thing, public) if home == path else [f"{thing.name}: as in {home}"])
    named = set(re.findall(r"\b[A-Z]\w+", "\n".join(lines)))
    shorthands = {line for module in _modules(root) for line in _shorthands(module, named)}
    return "\n".join([*lines, "types that these name", *_indented(sorted(shorthands)), ""])


def _exported(module: griffe.Module) -> list[griffe.Object]:
    names = [str(name) for name in module.exports or ()]
    if module.name in _WITHOUT_ALL:
        names = [name for name, member in module.members.items() if name[0] != "_" and not member.is_alias]
    return [_resolved(module[name]) for name in sorted(names)]


def _resolved(thing: griffe.Object | griffe.Alias) -> griffe.Object:
    return thing.final_target if isinstance(thing, griffe.Alias) else thing


def _modules(module: griffe.Module) -> Iterator[griffe.Module]:
    yield module
    for below in module.modules.values():
        if not below.is_alias:
            yield from _modules(below)


def _described(thing: griffe.Object, public: Iterable[str]) -> Iterator[str]:
    match thing:
        case griffe.Function():
            for variant in thing.overloads or [thing]:
                # Annotations name by way of the package what is not imported with it.
                signature = variant.signature().replace("gameye_async.", "")
                yield f"{'async ' if 'async' in variant.labels else ''}{signature}"
        case griffe.Class():
            made = "".join(f"@{decorator.value} " for decorator in thing.decorators)
            yield f"{made}class {thing.name}({', '.join(map(str, thing.bases))})"
            for name, member in thing.all_members.items():
                # What a public base has is shown there.
                elsewhere = member.inherited and _resolved(member).parent.path in public
                if not elsewhere and (name == "__init__" or name[0] != "_"):
                    yield from _indented(_described(_resolved(member), public))
        case griffe.Attribute():
            annotation, default = _annotation(thing), _default(thing)
            yield f"{thing.name}{annotation and f': {annotation}'}{default and f' = {default}'}"
        case _:
            raise TypeError(f"{thing.path} is neither a class nor a function nor an attribute")


def _annotation(attribute: griffe.Attribute) -> str:
    """The type of an attribute; of one that is set from an argument of the constructor, that argument's."""
    made = attribute.parent.members.get("__init__")
    if isinstance(made, griffe.Function) and str(attribute.value) == attribute.name in made.parameters:
        return str(made.parameters[attribute.name].annotation)
    return str(attribute.annotation or "")


def _default(attribute: griffe.Attribute) -> str:
    """What a field is when it is not given, "..." when that is made; the value of an enumeration's member."""
    value = attribute.value
    if "StrEnum" not in map(str, getattr(attribute.parent, "bases", ())) and not (
        attribute.annotation and "class-attribute" in attribute.labels
    ):
        return ""
    if isinstance(value, griffe.ExprCall) and str(value.function) == "field":
        given = {item.name: item.value for item in value.arguments if isinstance(item, griffe.ExprKeyword)}
        return str(given.get("default", "..." if "factory" in given else ""))
    return str(value or "")


def _shorthands(module: griffe.Module, named: Iterable[str]) -> Iterator[str]:
    """The type aliases and dictionaries of arguments of a module that signatures name."""
    for name, member in module.members.items():
        if name in named and not member.is_alias:
            if isinstance(member, griffe.Attribute):
                yield f"{name} = {member.value}"
            elif "TypedDict" in map(str, getattr(member, "bases", ())):
                fields = (f"{key}: {item.annotation}" for key, item in member.members.items())
                yield f"{name}({', '.join(fields)})"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


if __name__ == "__main__":
    RECORDED.write_text(surface(), "utf-8")
