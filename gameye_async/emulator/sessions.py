"""One session, and the forms in which the API shows it."""

import re
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import Any, Final

from attrs import define, field, frozen

from gameye_async.emulator.archive import Files
from gameye_async.emulator.placement import Machine
from gameye_async.emulator.quirks import Quirks

_REFERENCE: Final = re.compile(r"\$(GAMEYE_[A-Z0-9_]+)")


@frozen
class Image:
    """An application that sessions can be launched from.

    Args:
        ports: Exposed container ports as (`"tcp"` or `"udp"`, port).
        tags: Available tags, the one with the highest priority first; None means that every tag exists.
        tags_in: Tags of single locations where they differ from `tags`, as during a rollout.
        labels: Raw labels of the image itself, which reads show beside those of the session.
    """

    ports: tuple[tuple[str, int], ...] = (("udp", 7777), ("tcp", 80))
    tags: tuple[str, ...] | None = None
    tags_in: Mapping[str, tuple[str, ...]] = field(factory=dict[str, tuple[str, ...]])
    labels: Mapping[str, str] = field(factory=lambda: {"maintainer": "team@example.com"})

    def has_tag(self, tag: str, location: str) -> bool:
        """Whether `tag` can run in `location`."""
        tags = self.tags_in.get(location, self.tags)
        return tags is None or tag in tags

    def first_tag(self, location: str) -> str | None:
        """The tag with the highest priority, or None when there is none."""
        tags = self.tags_in.get(location, self.tags)
        return "latest" if tags is None else next(iter(tags), None)


@frozen
class WarmPool:
    """Sessions kept ready for one image in one location.

    A launch that finds one claims it; its own env, args, labels, restart and version are then ignored.
    Idle containers are no sessions yet: they are not listed and take no capacity until they are claimed.

    Args:
        image: Application of the pool.
        location: Region of the pool.
        size: Ready containers when the pool is full.
        refill_seconds: Time until a claimed container is replaced.
        env: Static environment of every session of the pool.
        args: Static arguments of every session of the pool.
        labels: Static labels of every session of the pool.
        version: Tag of every session of the pool; empty means the one with the highest priority.
    """

    image: str
    location: str
    size: int
    refill_seconds: float = 1.0
    env: Mapping[str, str] = field(factory=dict[str, str])
    args: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(factory=dict[str, str])
    version: str = ""

    def launch_fields(self) -> dict[str, Any]:
        """What its sessions are launched with, in place of what a request says."""
        return {"env": self.env, "args": self.args, "labels": self.labels, "version": self.version}


@define(eq=False, kw_only=True)
class Session:
    """A session of the emulator; times are seconds of the world's clock.

    `serial` numbers all sessions of a world, because two of them can carry one id when ids are not
    reserved early. `ports` are its mappings: protocol, port of the container, port of the machine.
    """

    serial: int
    id: str
    image: str
    tag: str
    location: str
    machine: Machine = field(repr=False)
    ports: tuple[tuple[str, int, int], ...]
    created: float
    env: Mapping[str, str] = field(repr=False)
    args: tuple[str, ...]
    labels: Mapping[str, str]
    restart: bool
    external_id: str = ""
    enable_metrics: str = ""
    ttl: float | None = None
    visible_at: float = 0.0
    status: str = "created"
    ended_at: float | None = None
    image_labels: Mapping[str, str] = field(repr=False)
    players: dict[str, None] = field(factory=dict[str, None], repr=False)
    log: bytearray = field(factory=bytearray, repr=False)
    files: Files = field(factory=dict[str, bytes], repr=False)
    _shown_labels: dict[str, str] | None = field(default=None, init=False, repr=False)

    @property
    def host(self) -> str:
        """Address of the machine."""
        return self.machine.address

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        return self.ended_at is not None

    @property
    def host_ports(self) -> tuple[int, ...]:
        """The ports of the machine that it has."""
        return tuple([host for _, _, host in self.ports])

    def environment(self) -> dict[str, str]:
        """What the container sees: the platform's variables and the caller's, references expanded."""
        platform = {
            "GAMEYE_SESSION_ID": self.id,
            "GAMEYE_CONTAINER": self.id,
            "GAMEYE_HOST": self.host,
            "GAMEYE_IP": self.host,
        }
        for protocol, container, host in self.ports:
            platform[f"GAMEYE_PORT_{protocol.upper()}_{container}"] = str(host)
        expanded = {
            name: _REFERENCE.sub(lambda match: platform.get(match[1], match[0]), value)
            for name, value in self.env.items()
        }
        return expanded | platform

    def launch_answer(self, quirks: Quirks) -> dict[str, Any]:
        """The answer of the launch."""
        ports = [
            {"type": protocol, "container": container, "host": host}
            for protocol, container, host in self.ports
        ]
        if quirks.duplicate_port:
            ports += ports[:1]
        answer = {"id": self.id, "host": self.host, "ports": ports}
        if quirks.omit_launch_id:
            del answer["id"]
        return answer

    def summary(self, epoch: float) -> dict[str, Any]:
        """What a list and a describe have in common; `epoch` is the clock's zero in Unix seconds."""
        return {
            "id": self.id,
            "image": self.image,
            "tag": self.tag,
            "location": self.location,
            "host": self.host,
            "created": round((epoch + self.created) * 1000),
            "port": {f"{container}/{protocol}": host for protocol, container, host in self.ports},
            "status": self.status,
            "labels": self.shown_labels(),
        }

    def entry(self, epoch: float) -> dict[str, Any]:
        """An entry of a list."""
        entry = self.summary(epoch)
        entry["playerCount"] = len(self.players)
        return entry

    def details(self, epoch: float) -> dict[str, Any]:
        """The answer of a describe."""
        players = {"joined": list(self.players), "joinedCount": len(self.players)}
        return self.summary(epoch) | {"players": players}

    def shown_labels(self) -> dict[str, str]:
        """Labels as reads show them: JSON text under `env`, `tags` and `gameye`, and the image's own.

        They never change while the container lives, so they are rendered once.
        """
        if self._shown_labels is None:
            self._shown_labels = {
                **self.image_labels,
                "env": _json_text(self.environment()),
                "tags": _json_text(self.labels),
                "gameye": _json_text(
                    {
                        "organization": "example-studio",
                        "session": self.id,
                        "image": self.image,
                        "region": self.location,
                        "tag": self.tag,
                        "enableMetrics": self.enable_metrics,
                    }
                ),
            }
        return self._shown_labels


def _json_text(strings: Mapping[str, str]) -> str:
    # Half the time of json.dumps, which a list of 50,000 sessions would call 150,000 times.
    quote = encode_basestring_ascii
    return "{" + ",".join([f"{quote(key)}:{quote(value)}" for key, value in strings.items()]) + "}"
