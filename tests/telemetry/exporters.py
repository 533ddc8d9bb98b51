"""OpenTelemetry's own SDK, with everything that it exports kept in memory."""

import json
from typing import Any

from attrs import define, field
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gameye_async.telemetry import OpenTelemetry

Points = dict[frozenset[tuple[str, Any]], Any]


@define(eq=False)
class Exporters:
    """An SDK that keeps what it is given.

    Attributes:
        tracer_provider: Makes the spans.
        meter_provider: Makes the metrics.
        listener: What a client is given as `on_event`.
    """

    tracer_provider: TracerProvider = field(init=False)
    meter_provider: MeterProvider = field(init=False)
    listener: OpenTelemetry = field(init=False)
    _spans: InMemorySpanExporter = field(factory=InMemorySpanExporter, init=False)
    _metrics: InMemoryMetricReader = field(factory=InMemoryMetricReader, init=False)

    def __attrs_post_init__(self) -> None:
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meter_provider = MeterProvider([self._metrics], shutdown_on_exit=False)
        self.listener = OpenTelemetry(
            tracer_provider=self.tracer_provider, meter_provider=self.meter_provider
        )

    def spans(self, operation: str | None = None) -> list[ReadableSpan]:
        """The spans that have ended, in the order of their ends."""
        return [
            span
            for span in self._spans.get_finished_spans()
            if operation is None or (span.attributes or {}).get("gameye.operation") == operation
        ]

    def metrics(self) -> dict[str, Any]:
        """The metrics by name."""
        data = self._metrics.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> Points:
        """The sums of a counter, or the data points of a histogram, by their attributes."""
        metric = self.metrics().get(name)
        return {
            frozenset((point.attributes or {}).items()): getattr(point, "value", point)
            for point in (metric.data.data_points if metric else ())
        }

    def exported(self) -> str:
        """Everything, as an exporter would send it."""
        data = self._metrics.get_metrics_data()
        metrics = json.loads(data.to_json()) if data else None
        return json.dumps([[json.loads(span.to_json()) for span in self.spans()], metrics], indent=1)
