"""The tables of docs/observability.md name what there is: no more, and no less."""

import re
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest
from opentelemetry.sdk.metrics.export import Histogram

from gameye_async.telemetry import Call, CallStarted, Event
from tests.telemetry.exporters import Exporters

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text("utf-8").splitlines()
    if line.startswith("|")
]


def names(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([\w.]+)`", cell)


def rows(columns: int) -> dict[str, list[str]]:
    """The rows of the tables of so many columns, by the name that each begins with."""
    return {names(cells[0])[0]: cells for cells in ROWS if len(cells) == columns and names(cells[0])}


CALL = Call(
    id=1,
    operation="launch",
    method="POST",
    template="/session",
    address="api.example.net",
    port=443,
    session_id="match-1",
    image="my-game",
    locations=("eu-west",),
)
FILLED: dict[str, Any] = {
    "call": CALL,
    "number": 1,
    "method": "POST",
    "template": "/session",
    "location": "eu-west",
    "status": 420,
    "identifier": "trace-1",
    "error": "CapacityError",
    "elapsed": 1.0,
    "phase": "sent",
    "reason": "no answer came in time",
    "delay": 1.0,
    "session_id": "match-1",
    "outcome": "failed",
    "attempts": 2,
}
EVERY: list[Event] = [
    kind(**{field.name: FILLED[field.name] for field in attrs.fields(kind)}) for kind in get_args(Event)
]


@pytest.fixture(scope="module")
def otel() -> Exporters:
    """The SDK, after a call to which everything happened that can."""
    otel = Exporters()
    for event in EVERY:
        otel.listener(event)
    return otel


def test_the_table_of_events_has_every_event_with_its_fields():
    fields = {
        kind.__name__: [field.name for field in attrs.fields(kind)] for kind in (*get_args(Event), Call)
    }
    assert {name: names(cells[2]) for name, cells in rows(3).items()} == fields


def test_the_table_of_spans_has_every_attribute(otel):
    (span,) = otel.spans()
    (cells,) = [cells for cells in ROWS if cells[0] == "span"]
    assert sorted(names(cells[1])) == sorted(span.attributes)


def test_the_table_of_spans_has_every_event_of_a_span_with_its_attributes(otel):
    (span,) = otel.spans()
    made: dict[str, set[str]] = {}
    for event in span.events:
        made.setdefault(event.name, set()).update(event.attributes)
    assert {name: set(names(cells[1])) for name, cells in rows(2).items()} == made


def test_the_table_of_metrics_has_every_metric_with_its_unit_and_attributes(otel):
    made = {
        name: (
            "histogram" if isinstance(metric.data, Histogram) else "counter",
            metric.unit,
            {attribute for point in otel.points(name) for attribute, _ in point},
        )
        for name, metric in otel.metrics().items()
    }
    assert {name: (kind, unit, set(names(cell))) for name, (_, kind, unit, cell) in rows(4).items()} == made


def test_everything_that_can_happen_is_in_these_tests():
    """`EVERY` begins and ends as a call does, or the rest would prove little."""
    assert isinstance(EVERY[0], CallStarted)
    assert {type(event) for event in EVERY} == set(get_args(Event))
