"""What to launch: the request of a session, checked when it is made."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from os import urandom
from typing import Self, cast
from uuid import UUID

from attrs import field, frozen

from gameye_async._segment import segment
from gameye_async.errors import ConfigurationError


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


def _several(name: str, value: object) -> tuple[str, ...]:
    kind = type(value).__name__
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise ConfigurationError(f"{name} must be a list of texts, not {kind}")
    return tuple(cast("Iterable[str]", value))


def _mapping(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} must map texts to texts, not {type(value).__name__}")
    return dict(cast("Mapping[str, str]", value))


def _location(value: str | Iterable[str]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else _several("location", value)
    if not names:
        raise ConfigurationError("location must name at least one location")
    return names


class GeneratedId(str):
    """An id that was made here, at random, so that a session of this id can only be ours."""

    __slots__ = ()

    @classmethod
    def make(cls) -> Self:
        """A UUIDv4; by way of a `uuid.UUID` it takes twice as long."""
        octets = bytearray(urandom(16))
        octets[6] = octets[6] & 0x0F | 0x40
        octets[8] = octets[8] & 0x3F | 0x80
        text = octets.hex()
        return cls(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """A copy in another process is just a text: there, the session may be somebody else's."""
        return str, (str.__str__(self),)


def _id(value: str | UUID | None) -> str:
    if value is None:
        return GeneratedId.make()
    if isinstance(value, GeneratedId):
        return value
    text = str(value) if isinstance(value, UUID) else _filled("id", value)
    # One that no path could hold could never be described or stopped.
    segment(text, "id")
    return text


def _env(value: Mapping[str, str]) -> dict[str, str]:
    return _mapping("env", value)


def _args(value: Iterable[str]) -> tuple[str, ...]:
    return _several("args", value)


def _labels(value: Mapping[str, str]) -> dict[str, str]:
    return _mapping("labels", value)


def _restart(_instance: object, _attribute: object, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"restart must be True or False, not {type(value).__name__}")


def _ttl(value: timedelta | str | None) -> str | None:
    return None if value is None else format_ttl(value)


def _version(value: str | None) -> str | None:
    return None if value is None else _filled("version", value)


def _external_id(value: str | None) -> str | None:
    return None if value is None else _text("external_id", value)


def _enable_metrics(value: bool | str | None) -> str | None:  # noqa: FBT001  -- the API's field, passed by name
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else _text("enable_metrics", value)


@frozen
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

    image: str
    location: tuple[str, ...] = field(converter=_location)
    id: str = field(default=None, converter=_id, kw_only=True)
    env: Mapping[str, str] = field(
        factory=dict[str, str], converter=_env, repr=redacted, kw_only=True, hash=False
    )
    args: tuple[str, ...] = field(default=(), converter=_args, kw_only=True)
    restart: bool = field(default=False, validator=_restart, kw_only=True)
    labels: Mapping[str, str] = field(factory=dict[str, str], converter=_labels, kw_only=True, hash=False)
    version: str | None = field(default=None, converter=_version, kw_only=True)
    ttl: str | None = field(default=None, converter=_ttl, kw_only=True)
    external_id: str | None = field(default=None, converter=_external_id, kw_only=True)
    enable_metrics: str | None = field(default=None, converter=_enable_metrics, kw_only=True)

    def __attrs_post_init__(self) -> None:
        # All at once takes half the time; one by one they are checked to name the one at fault.
        texts = (
            self.image,
            *self.location,
            *self.env,
            *self.env.values(),
            *self.args,
            *self.labels,
            *self.labels.values(),
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
