"""What to launch: the request of a session, checked when it is made."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from os import urandom
from typing import ClassVar, Required, Self, TypedDict, cast, final
from urllib.parse import quote
from uuid import UUID

from attrs import field, frozen

from gameye_async.errors import ConfigurationError

CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
LONE = re.compile(r"[\ud800-\udfff]")
_MAX_SEGMENT = 255


def segment(value: str, name: str) -> str:
    """A value as exactly one percent-encoded path segment.

    Raises:
        ConfigurationError: It is empty, `.`, `..`, over 255 bytes, or holds control characters.
    """
    if not isinstance(value, str) or not value or value in {".", ".."} or CONTROL.search(value):
        raise ConfigurationError(
            f"the {name} must be text other than '.' and '..' without control characters"
        )
    if len(value.encode()) > _MAX_SEGMENT:
        raise ConfigurationError(f"the {name} must be at most {_MAX_SEGMENT} bytes")
    return quote(value, safe="")


def redacted(secrets: Mapping[str, str]) -> str:
    """The repr of a mapping whose values are nobody's business."""
    return "{" + ", ".join(f"{key!r}: '***'" for key in secrets) + "}"


_TTL = re.compile(r"(?=.)(?:(?P<h>\d{1,12})h)?(?:(?P<m>\d{1,12})m)?", re.ASCII)


def format_ttl(ttl: timedelta | str) -> str:
    """The API's spelling of a time to live: hours and minutes, such as `2h30m`.

    Raises:
        ConfigurationError: It is not a positive whole number of minutes. The API would round a
            shorter one up to a minute, and other units are refused by some of its versions.
    """
    if isinstance(ttl, str):
        match = _TTL.fullmatch(ttl)
        if match and int(match["h"] or 0) + int(match["m"] or 0) > 0:
            return ttl
    elif isinstance(ttl, timedelta):
        minutes, rest = divmod(ttl, timedelta(minutes=1))
        if minutes > 0 and not rest:
            hours, minutes = divmod(minutes, 60)
            return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    raise ConfigurationError(
        f"ttl {str(ttl)!r} is not expressible in hours and minutes; "
        "use a timedelta of whole minutes, or text such as '2h30m'"
    )


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{name} holds a lone surrogate, which no JSON text can carry") from None
    # Of a `(str, Enum)` member, str() would make its name.
    return str.__str__(value)


def _filled(name: str, value: object) -> str:
    if not (text := _text(name, value)):
        raise ConfigurationError(f"{name} must not be empty; the API refuses it")
    return text


_ONLY_TEXT = frozenset({str})


def _plain(texts: Collection[object]) -> bool:
    """Whether all are certainly fine, so that the naming of each one can wait until one is not."""
    return (
        _ONLY_TEXT.issuperset(map(type, texts))
        and all(texts)
        and "".join(cast("Collection[str]", texts)).isascii()
    )


# What nearly everybody passes; to ask whether something else is iterable or a mapping takes longer.
_LISTS, _DICTS = frozenset({list, tuple}), frozenset({dict})


def _several(name: str, value: Iterable[str]) -> tuple[str, ...]:
    kind = type(value)
    if kind not in _LISTS and (isinstance(value, str | Mapping) or not isinstance(value, Iterable)):
        raise ConfigurationError(f"{name} must be a list of texts, not {kind.__name__}")
    return tuple(value)


def _mapping(name: str, value: Mapping[str, str]) -> dict[str, str]:
    kind = type(value)
    if kind not in _DICTS and not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} must map texts to texts, not {kind.__name__}")
    return dict(value)


def _location(value: str | Iterable[str]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else _several("location", value)
    if not names:
        raise ConfigurationError("location must name at least one location")
    return names


# The bits 10 in front of two random ones.
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


class GeneratedId(str):
    """An id that was made here, at random, so that a session of this id can only be ours."""

    __slots__ = ()

    @classmethod
    def make(cls) -> Self:
        """A UUIDv4; by way of a `uuid.UUID` it takes twice as long."""
        text = urandom(16).hex()
        return cls(f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}")

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """A copy in another process is just a text: there, the session may be somebody else's."""
        return str, (str.__str__(self),)


def _id(value: str | UUID) -> str:
    if isinstance(value, GeneratedId):
        return value
    text = str(value) if isinstance(value, UUID) else _filled("id", value)
    # One that no path could hold could never be described or stopped.
    segment(text, "id")
    return text


def _restart(value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"restart must be True or False, not {type(value).__name__}")
    return value


def _switch(value: bool | str) -> str:  # noqa: FBT001  -- the API's field
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text("enable_metrics", value)


@final
@frozen(init=False, match_args=False)
class LaunchRequest:
    """What to launch: the body of `POST /session`, checked when it is made.

    Args:
        image: Application name registered at Gameye.
        location: A location, or several in order of preference.
        id: The session's id, text or UUID; a UUIDv4 is made when it is left out.
        env: Environment of the container; values must not be empty. Never shown by repr.
        args: Command line arguments, appended to the image's entry point; none may be empty.
        restart: Whether the container is restarted when it fails.
        labels: Your own metadata, to find the session by; ignored when a warm pool serves the launch.
        version: Tag of the image; the one with the highest priority when left out.
        ttl: When the session is ended by force: a timedelta of whole minutes, or text such as `2h30m`.
        external_id: Your own identifier, which no answer repeats.
        enable_metrics: Only known to older platforms; a bool is sent as the documented string.

    Raises:
        ConfigurationError: A field is one that the API would refuse; the text names it.
    """

    __match_args__: ClassVar = ("image", "location")

    image: str
    location: tuple[str, ...]
    id: str
    env: Mapping[str, str] = field(repr=redacted, hash=False)
    args: tuple[str, ...]
    restart: bool
    labels: Mapping[str, str] = field(hash=False)
    version: str | None
    ttl: str | None
    external_id: str | None
    enable_metrics: str | None

    def __init__(
        self,
        image: str,
        location: str | Iterable[str],
        *,
        id: str | UUID | None = None,  # noqa: A002  -- the API's name
        env: Mapping[str, str] = {},
        args: Iterable[str] = (),
        restart: bool = False,
        labels: Mapping[str, str] = {},
        version: str | None = None,
        ttl: timedelta | str | None = None,
        external_id: str | None = None,
        enable_metrics: bool | str | None = None,
    ) -> None:
        # By hand, because the converters of attrs are called for what was left out as well: a twentieth of
        # a launch.
        locations, arguments = _location(location), _several("args", args)
        environment, metadata = _mapping("env", env), _mapping("labels", labels)
        put = object.__setattr__
        put(self, "image", image)
        put(self, "location", locations)
        put(self, "id", GeneratedId.make() if id is None else _id(id))
        put(self, "env", environment)
        put(self, "args", arguments)
        put(self, "restart", _restart(restart))
        put(self, "labels", metadata)
        put(self, "version", None if version is None else _filled("version", version))
        put(self, "ttl", None if ttl is None else format_ttl(ttl))
        put(self, "external_id", None if external_id is None else _text("external_id", external_id))
        put(self, "enable_metrics", None if enable_metrics is None else _switch(enable_metrics))
        # All at once takes half the time; one by one they are checked to name the one at fault.
        texts = (
            image,
            *locations,
            *environment,
            *environment.values(),
            *arguments,
            *metadata,
            *metadata.values(),
        )
        if not _plain(texts):
            self._check_each()

    def _check_each(self) -> None:
        """Name the text that the API would refuse; of subclasses of `str`, keep just the text."""
        checked = {
            "image": _filled("image", self.image),
            "location": tuple([_filled("location", name) for name in self.location]),
            "env": {
                _filled("env name", name): _filled(f"env[{name!r}]", text) for name, text in self.env.items()
            },
            "args": tuple([_filled(f"args[{index}]", arg) for index, arg in enumerate(self.args)]),
            "labels": {
                _filled("label name", name): _text(f"labels[{name!r}]", text)
                for name, text in self.labels.items()
            },
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)


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
