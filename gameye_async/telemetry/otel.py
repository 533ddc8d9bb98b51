"""OpenTelemetry: spans and metrics made of a client's events."""

from typing import TYPE_CHECKING

from gameye_async._version import __version__
from gameye_async.telemetry.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

_SCOPE = "gameye_async"


class OpenTelemetry:
    """Makes spans and metrics of a client's events: `AsyncGameye(on_event=OpenTelemetry())`.

    Each call is a span of kind CLIENT, a child of the span that was current where the call was made. One
    object may serve several clients. It does nothing when `opentelemetry-api` (extra `otel`) is not there.

    Args:
        tracer_provider: Where spans go; the global one when None.
        meter_provider: Where metrics go; the global one when None.
    """

    __slots__ = ("_listeners",)

    def __init__(
        self,
        *,
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
    ) -> None:
        self._listeners: tuple[Callable[[Event], None], ...] = ()
        try:
            from opentelemetry import metrics, trace  # noqa: PLC0415  -- it is optional
        except ImportError:
            return
        from gameye_async.telemetry.signals import Metrics, Spans  # noqa: PLC0415  -- it is optional

        self._listeners = (
            Spans(trace.get_tracer(_SCOPE, __version__, tracer_provider)),
            Metrics(metrics.get_meter(_SCOPE, __version__, meter_provider)),
        )

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        for listener in self._listeners:
            listener(event)
