"""Quirks and profiles: where the descriptions of the API contradict each other, a switch decides."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, Literal

from attrs import field, frozen
from attrs.validators import ge

from gameye_async.emulator.structure import listed
from gameye_async.emulator.validation import CURRENT_LAUNCH, LEGACY_LAUNCH, Check

CHECK_ORDER: Final = (401, 403, 422, 404, 409, 402, 420)
LIST_OPTIONS: Final = frozenset({"tag", "status", "labels", "playerCount"})


def _optional_fields(names: Iterable[str]) -> frozenset[str]:
    chosen = frozenset(names)
    if unknown := chosen - LIST_OPTIONS:
        raise ValueError(f"not optional fields of a list entry: {sorted(unknown)}")
    return chosen


def _whole_order(statuses: Iterable[int]) -> tuple[int, ...]:
    order = tuple(statuses)
    if sorted(order) != sorted(CHECK_ORDER):
        raise ValueError(f"check_order must hold each of {CHECK_ORDER} once, not {order}")
    return order


@frozen(kw_only=True)
class Quirks:
    """Named switches for behaviour that is undocumented, contradictory or only recorded by others.

    Args:
        leave_without_session: What a leave that names no session gets: `"not_found"` (404, recorded from the
            live service, the default), `"rejected"` (422), or `"ok"` (the players leave whichever session
            holds them, as the description reads).
        leave_accepts_session: Whether leave takes `session` at all. True by default, as recorded; False
            follows the description, which forbids the property (422).
        roster: What `players` means in the answer of join and leave: the `"whole"` roster (default), or an
            `"echo"` of the request.
        missing_tag: What an unknown tag gets: `"false"` (200 with `exists: false`, default) or `"not_found"`.
        artifact_format: `"tar"` (recorded from the live service, the default) or `"gzip"` (as documented).
        omit_launch_id: Leave the optional `id` out of the launch answer. False by default.
        duplicate_port: Repeat the first port entry, as the description's own example does. False by default.
        omit_list_fields: Which of `tag`, `status`, `labels`, `playerCount` list entries lack. Empty by
            default.
        bare_list: Answer a list with a bare array instead of `{"sessions": [...]}`. False by default.
        reuse_ended_id: Whether the id of an ended session can be launched again. False by default (409).
        ids_reserved_early: Whether an id is taken before the container starts. True by default; when False,
            two simultaneous launches with one id both start a container.
        pool_honours_ttl: Whether a session claimed from a warm pool takes the `ttl` of its request. True by
            default; the documentation names only env, args, labels, restart and version as ignored.
        read_lag: Seconds after which a new session appears in reads. 0 by default.
        check_order: Order in which the checks of a launch decide, as their documented statuses.
        missing_scope_status: 403 (default) or 401 (older authentication page).
        quota_status: 402 (default) or 403 (older page).
    """

    leave_without_session: Literal["not_found", "rejected", "ok"] = field(
        default="not_found", validator=listed
    )
    leave_accepts_session: bool = True
    roster: Literal["whole", "echo"] = field(default="whole", validator=listed)
    missing_tag: Literal["false", "not_found"] = field(default="false", validator=listed)
    artifact_format: Literal["tar", "gzip"] = field(default="tar", validator=listed)
    omit_launch_id: bool = False
    duplicate_port: bool = False
    omit_list_fields: frozenset[str] = field(default=frozenset[str](), converter=_optional_fields)
    bare_list: bool = False
    reuse_ended_id: bool = False
    ids_reserved_early: bool = True
    pool_honours_ttl: bool = True
    read_lag: float = field(default=0.0, validator=ge(0))
    check_order: tuple[int, ...] = field(default=CHECK_ORDER, converter=_whole_order)
    missing_scope_status: Literal[401, 403] = field(default=403, validator=listed)
    quota_status: Literal[402, 403] = field(default=402, validator=listed)


@frozen(kw_only=True)
class Profile:
    """One generation of the API.

    Args:
        name: `"current"` or `"legacy"`.
        launched: Status of a successful launch.
        stopped: Status of a successful stop.
        ports: Host ports that sessions are mapped to.
        launch_fields: Checks of the launch body, one per accepted property.
        launch_required: Properties that a launch must have.
    """

    CURRENT: ClassVar["Profile"]
    LEGACY: ClassVar["Profile"]

    name: str
    launched: int
    stopped: int
    ports: range
    launch_fields: Mapping[str, Check] = field(repr=False)
    launch_required: tuple[str, ...]

    @classmethod
    def named(cls, name: str) -> "Profile":
        """The profile of this name.

        Raises:
            ValueError: It is neither `current` nor `legacy`.
        """
        for profile in (cls.CURRENT, cls.LEGACY):
            if profile.name == name:
                return profile
        raise ValueError(f"profile must be 'current' or 'legacy', not {name!r}")


Profile.CURRENT = Profile(
    name="current",
    launched=201,
    stopped=204,
    ports=range(20_000, 30_001),
    launch_fields=CURRENT_LAUNCH,
    launch_required=("location", "image"),
)
Profile.LEGACY = Profile(
    name="legacy",
    launched=200,
    stopped=200,
    ports=range(32_768, 61_000),
    launch_fields=LEGACY_LAUNCH,
    launch_required=("id", "location", "image", "env", "args", "restart"),
)
