"""The fields of a launch, as methods take them by keyword."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Required, TypedDict
from uuid import UUID


class LaunchFields(TypedDict, total=False):
    """The fields of a `LaunchRequest`, as `launch` takes them by keyword."""

    image: Required[str]
    location: Required[str | Iterable[str]]
    id: str | UUID | None
    env: Mapping[str, str]
    args: Iterable[str]
    restart: bool
    labels: Mapping[str, str]
    version: str | None
    ttl: timedelta | str | None
    external_id: str | None
    enable_metrics: bool | str | None
