"""What a client has done and is doing, counted."""

from collections import Counter

from attrs import define, field, frozen

from gameye_async.models import Session


@frozen(kw_only=True)
class ClientStats:
    """A snapshot of a client's counters; `str()` of it is one progress line.

    Attributes:
        queued: Launches waiting for a place.
        in_flight: Launches whose request is under way.
        backing_off: Launches waiting to be tried again.
        launched: Sessions created by a launch.
        adopted: Sessions that turned out to exist already and were taken over.
        retried: Attempts beyond the first, of all calls.
        failed: Calls that raised, by the error's class name.
        orphans_stopped: Sessions of abandoned launches that were stopped.
    """

    queued: int
    in_flight: int
    backing_off: int
    launched: int
    adopted: int
    retried: int
    failed: dict[str, int]
    orphans_stopped: int

    def __str__(self) -> str:
        failed = ", ".join(f"{count} {kind}" for kind, count in sorted(self.failed.items()))
        return (
            f"launched {self.launched} (adopted {self.adopted}), in flight {self.in_flight}, "
            f"queued {self.queued}, backing off {self.backing_off}, retried {self.retried}, "
            f"failed {failed or 0}"
        )


@define
class Counters:
    """The numbers behind `ClientStats`."""

    backing_off: int = 0
    launched: int = 0
    adopted: int = 0
    retried: int = 0
    orphans_stopped: int = 0
    failed: Counter[str] = field(factory=Counter[str])

    def count(self, session: Session) -> None:
        """A launch has delivered its session."""
        if session.created_by == "launch":
            self.launched += 1
        else:
            self.adopted += 1

    def snapshot(self, *, queued: int, in_flight: int) -> ClientStats:
        """The numbers now; places in the launch lane are counted by the lane."""
        return ClientStats(
            queued=queued,
            in_flight=in_flight,
            backing_off=self.backing_off,
            launched=self.launched,
            adopted=self.adopted,
            retried=self.retried,
            failed=dict(self.failed),
            orphans_stopped=self.orphans_stopped,
        )
