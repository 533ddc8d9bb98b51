"""Scenario files: an emulator as TOML."""

import tomllib
from pathlib import Path
from typing import Any, Final, Literal, Self

from attrs import asdict, field, frozen
from attrs.validators import ge, optional

from gameye_async.emulator.faults import Fault
from gameye_async.emulator.placement import DEFAULT_LOCATIONS
from gameye_async.emulator.quirks import Quirks
from gameye_async.emulator.server import Emulator
from gameye_async.emulator.sessions import Image, WarmPool
from gameye_async.emulator.structure import Locations, structured

_NOT_NEGATIVE: Final = optional(ge(0))


@frozen(kw_only=True)
class Scenario:
    """What a scenario file may hold: arguments of `Emulator`, by the same names; the guide shows one."""

    profile: Literal["current", "legacy"] | None = None
    token: str | None = None
    seed: int | None = None
    run: str | None = None
    grace: float | None = field(default=None, validator=_NOT_NEGATIVE)
    locations: Locations | None = None
    capacity: int | None = field(default=None, validator=_NOT_NEGATIVE)
    images: dict[str, Image] | None = None
    pools: tuple[WarmPool, ...] | None = None
    quirks: Quirks | None = None
    faults: tuple[Fault, ...] | None = None
    start_rate: float | None = field(default=None, validator=_NOT_NEGATIVE)
    start_burst: float | None = field(default=None, validator=_NOT_NEGATIVE)
    start_seconds: float | None = field(default=None, validator=_NOT_NEGATIVE)
    stop_seconds: float | None = field(default=None, validator=_NOT_NEGATIVE)
    retention_seconds: float | None = field(default=None, validator=_NOT_NEGATIVE)
    quota_seconds: float | None = field(default=None, validator=_NOT_NEGATIVE)
    quota_starts: int | None = field(default=None, validator=_NOT_NEGATIVE)

    def __attrs_post_init__(self) -> None:
        places = DEFAULT_LOCATIONS if self.locations is None else self.locations
        for index, fault in enumerate(self.faults or ()):
            if fault.location is not None and fault.location not in places:
                raise ValueError(f"faults[{index}]: there is no location {fault.location}")
        for index, pool in enumerate(self.pools or ()):
            if pool.location not in places:
                raise ValueError(f"pools[{index}]: there is no location {pool.location}")
            if self.images is not None and pool.image not in self.images:
                raise ValueError(f"pools[{index}]: there is no image {pool.image}")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a scenario file.

        Raises:
            ValueError: It is no TOML, or something in it is unknown or wrong; the text says where.
            OSError: It cannot be read.
        """
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return structured(data, cls, str(path))

    def options(self) -> dict[str, Any]:
        """The arguments for `Emulator`, without those that the scenario leaves alone."""
        return asdict(self, recurse=False, filter=lambda _, value: value is not None)

    def emulator(self, **overrides: Any) -> Emulator:
        """An emulator of this scenario; `overrides` are further arguments, which come first."""
        return Emulator(**(self.options() | overrides))
