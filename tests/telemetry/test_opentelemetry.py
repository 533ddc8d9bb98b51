"""Spans and metrics, as OpenTelemetry's own SDK exports them."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from yarl import URL

from gameye_async import LaunchOutcomeUnknownError, NotFoundError, Timeouts, __version__
from gameye_async.emulator import Fault
from gameye_async.telemetry import OpenTelemetry
from tests.faultserver import FaultServer, answer, hang, held
from tests.reliability.stage import (
    EAST,
    IMAGE,
    WEST,
    Script,
    described,
    emulated,
    in_virtual_time,
    launched,
    new_request,
    quick_client,
    stage,
)
from tests.telemetry.exporters import Exporters

# Seconds, as the conventions have them for this metric.
RECOMMENDED = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


@pytest.fixture
def otel() -> Exporters:
    """The SDK; its listener is what a client gets."""
    return Exporters()


def client(otel: Exporters) -> dict[str, Any]:
    return {"on_event": otel.listener}


def happened(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


def attempts(span: ReadableSpan) -> list[tuple[object, ...]]:
    return [
        (
            event.attributes["http.request.method"],
            event.attributes.get("gameye.location"),
            event.attributes.get("http.response.status_code"),
        )
        for event in span.events
        if event.name == "gameye.attempt"
    ]


async def test_a_launch_is_one_span(otel):
    """Of kind CLIENT, named and described after the conventions for HTTP clients."""
    async with emulated(client=client(otel)) as (emulator, gameye):
        port = URL(emulator.url).port
        session = await gameye.launch(new_request(WEST, EAST))

    (span,) = otel.spans()
    elapsed = span.attributes["gameye.elapsed"]
    assert (span.name, span.kind, span.parent) == ("POST /session", SpanKind.CLIENT, None)
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope.name == "gameye_async"
    assert span.instrumentation_scope.version == __version__
    assert dict(span.attributes) == {
        "http.request.method": "POST",
        "url.template": "/session",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 201,
        "gameye.operation": "launch",
        "gameye.session.id": session.id,
        "gameye.image": IMAGE,
        "gameye.locations": (WEST, EAST),
        "gameye.location": WEST,
        "gameye.outcome": "succeeded",
        "gameye.attempts": 1,
        "gameye.elapsed": elapsed,
    }
    (attempt,) = span.events
    assert (attempt.name, dict(attempt.attributes)) == (
        "gameye.attempt",
        {
            "gameye.attempt.number": 1,
            "gameye.attempt.elapsed": session.attempts[0].elapsed,
            "http.request.method": "POST",
            "url.template": "/session",
            "http.response.status_code": 201,
            "gameye.location": WEST,
        },
    )


async def test_a_span_is_a_child_of_the_span_around_the_call(otel):
    tracer = otel.tracer_provider.get_tracer("matchmaker")
    async with emulated(client=client(otel)) as (_, gameye):
        with tracer.start_as_current_span("match") as match:
            session = await gameye.launch(new_request())
            await gameye.stop(session.id)
        await gameye.regions()
    parents = {operation: otel.spans(operation)[0].parent for operation in ("launch", "stop", "regions")}
    assert parents["launch"].span_id == parents["stop"].span_id == match.get_span_context().span_id
    assert parents["regions"] is None


async def test_a_refusal_and_the_next_location_are_in_the_span(otel):
    async with emulated(client=client(otel), locations={WEST: 0, EAST: 10}) as (_, gameye):
        await gameye.launch(new_request(WEST, EAST))
    (span,) = otel.spans()
    assert attempts(span) == [("POST", WEST, 420), ("POST", EAST, 201)]
    assert span.events[0].attributes["error.type"] == "CapacityError"
    assert span.events[0].attributes["gameye.identifier"]
    assert (span.attributes["gameye.location"], span.status.status_code) == (EAST, StatusCode.UNSET)
    assert otel.points("gameye.launch.refusals") == {frozenset({("gameye.location", WEST)}): 1}


async def test_a_lost_answer_and_the_adoption_are_in_the_span(otel):
    fault = Fault("cut_after_commit", operation="session-run", count=1)
    async with emulated(fault, client=client(otel)) as (_, gameye):
        await gameye.launch(new_request())
    (span,) = otel.spans()
    assert attempts(span) == [("POST", WEST, None), ("POST", WEST, 409), ("GET", None, 200)]
    lost = span.events[0].attributes
    assert (lost["gameye.attempt.phase"], lost["error.type"]) == ("sent", "NoAnswerError")
    assert lost["gameye.attempt.reason"].startswith("the server closed the connection")
    assert happened(span)[-1] == "gameye.adopted"
    assert (span.attributes["gameye.outcome"], span.status.status_code) == ("adopted", StatusCode.UNSET)


async def test_the_span_of_a_cancelled_launch_ends_when_its_session_is_stopped(otel):
    """Long after the caller has gone, and still as a child of the caller's span."""
    request, release = new_request(), asyncio.Event()
    script = Script(POST=[held(release, launched(request))], GET=[described(request)], DELETE=[answer(204)])
    tracer = otel.tracer_provider.get_tracer("matchmaker")
    async with FaultServer(script) as server, quick_client(server.url, on_event=otel.listener) as gameye:
        with tracer.start_as_current_span("match") as match:
            call = asyncio.create_task(gameye.launch(request))
            await server.wait_for_request()
            call.cancel()
            await asyncio.wait([call])
        assert otel.spans("launch") == []
        release.set()
    (span,) = otel.spans("launch")
    assert span.parent.span_id == match.get_span_context().span_id
    assert attempts(span) == [("POST", WEST, 201), ("GET", None, 200), ("DELETE", None, 204)]
    assert happened(span)[-1] == "gameye.orphan_stopped"
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes["gameye.outcome"], span.attributes["error.type"]) == (
        "cancelled",
        "CancelledError",
    )
    assert otel.points("gameye.orphans") == {
        frozenset({("gameye.location", WEST), ("gameye.outcome", "stopped")}): 1
    }


async def test_an_orphan_that_is_reported_is_in_the_span(otel):
    request = new_request()
    async with FaultServer(hang()) as server:
        timeouts = Timeouts(close=0.05)
        async with quick_client(server.url, timeouts=timeouts, on_event=otel.listener) as gameye:
            call = asyncio.create_task(gameye.launch(request))
            await server.wait_for_request()
        with pytest.raises(LaunchOutcomeUnknownError):
            await call
        await server.wait_for_hangup()
    (span,) = otel.spans()
    (orphan,) = [event for event in span.events if event.name == "gameye.orphan_reported"]
    assert dict(orphan.attributes) == {"gameye.session.id": request.id, "gameye.location": WEST}
    assert (span.attributes["gameye.outcome"], span.status.status_code) == ("unknown", StatusCode.ERROR)
    assert otel.points("gameye.orphans") == {
        frozenset({("gameye.location", WEST), ("gameye.outcome", "reported")}): 1
    }


@in_virtual_time
async def test_the_wait_before_the_next_attempt_is_in_the_span():
    otel = Exporters()
    fault = Fault("refuse", status=420, retry_after=3.0, count=1)
    async with stage(fault, client=client(otel)) as place:
        await place.gameye.launch(new_request())
    (span,) = otel.spans()
    (waits,) = [event for event in span.events if event.name == "gameye.backing_off"]
    assert waits.attributes["gameye.delay"] >= 3.0
    assert waits.attributes["error.type"] == "CapacityError"


async def test_two_hundred_launches_at_once_have_a_span_each(otel):
    """With its own attempts, and the caller's span as the parent of them all."""
    tracer = otel.tracer_provider.get_tracer("matchmaker")
    requests = [new_request(WEST, EAST) for _ in range(200)]
    async with emulated(client=client(otel), locations={WEST: 100, EAST: 100}) as (_, gameye):
        with tracer.start_as_current_span("night") as night:
            async with gameye.launch_many(requests, concurrency=200) as outcomes:
                sessions = {outcome.session.id: outcome.session async for outcome in outcomes}
    spans = {span.attributes["gameye.session.id"]: span for span in otel.spans("launch")}
    assert (len(otel.spans("launch")), spans.keys()) == (200, sessions.keys())
    assert len({span.context.span_id for span in spans.values()}) == 200
    for session_id, span in spans.items():
        made = [("POST", attempt.location, attempt.status) for attempt in sessions[session_id].attempts]
        assert attempts(span) == made
        assert span.parent.span_id == night.get_span_context().span_id
    assert otel.points("gameye.launches") == {
        frozenset({("gameye.location", place), ("gameye.outcome", "succeeded")}): 100
        for place in (WEST, EAST)
    }


async def test_an_operation_of_ones_own_is_named_by_its_method_only(otel):
    """Its path may hold anything, and a method that HTTP does not know is not repeated."""
    async with FaultServer(answer(200)) as server, quick_client(server.url, on_event=otel.listener) as gameye:
        await gameye.request("POST", "/secret")
        await gameye.request("SECRET", "/secret")
    assert [(span.name, span.attributes["http.request.method"]) for span in otel.spans()] == [
        ("POST", "POST"),
        ("HTTP", "_OTHER"),
    ]
    assert "secret" not in otel.exported().lower()


async def test_a_failure_is_an_error_by_its_class(otel):
    async with emulated(client=client(otel)) as (_, gameye):
        with pytest.raises(NotFoundError):
            await gameye.describe("match-1")
    (span,) = otel.spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert span.attributes["error.type"] == "NotFoundError"
    assert span.attributes["http.response.status_code"] == 404


async def test_requests_are_timed_as_the_conventions_want(otel):
    async with emulated(client=client(otel)) as (emulator, gameye):
        port = URL(emulator.url).port
        with pytest.raises(NotFoundError):
            await gameye.describe("match-1")
    metric = otel.metrics()["http.client.request.duration"]
    assert metric.unit == "s"
    ((attributes, point),) = otel.points(metric.name).items()
    assert dict(attributes) == {
        "http.request.method": "GET",
        "url.template": "/session/{id}",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 404,
        "error.type": "NotFoundError",
    }
    assert otel.metrics().keys() == {metric.name}
    assert point.count == 1
    assert point.explicit_bounds == RECOMMENDED


@in_virtual_time
async def test_launches_are_counted_and_timed_by_location_and_outcome():
    otel = Exporters()
    slow = Fault("latency", operation="session-run", seconds=2.0)
    async with stage(slow, client=client(otel), locations={WEST: 1, EAST: 1}) as place:
        await place.gameye.launch(new_request(WEST, EAST))
        await place.gameye.launch(new_request(WEST, EAST))
        with pytest.raises(NotFoundError):
            await place.gameye.launch(new_request("nowhere"))
    came_to = {
        frozenset({("gameye.location", WEST), ("gameye.outcome", "succeeded")}): (1, 2.0),
        frozenset({("gameye.location", EAST), ("gameye.outcome", "succeeded")}): (1, 4.0),
        frozenset(
            {
                ("gameye.location", "nowhere"),
                ("gameye.outcome", "failed"),
                ("error.type", "NotFoundError"),
            }
        ): (1, 2.0),
    }
    assert otel.points("gameye.launches") == {point: count for point, (count, _) in came_to.items()}
    durations = otel.points("gameye.launch.duration")
    assert {point: data.count for point, data in durations.items()} == otel.points("gameye.launches")
    assert {point: data.sum for point, data in durations.items()} == pytest.approx(
        {point: seconds for point, (_, seconds) in came_to.items()}, abs=0.5
    )


async def test_metrics_have_no_session_ids(otel):
    """Each would be a time series of its own."""
    async with emulated(client=client(otel)) as (_, gameye):
        session = await gameye.launch(new_request())
        await gameye.describe(session.id)
        await gameye.stop(session.id)
    assert session.id in otel.exported()
    assert session.id not in "".join(metric.to_json() for metric in otel.metrics().values())


def test_it_does_nothing_where_opentelemetry_is_not_installed():
    code = """
import asyncio, sys
sys.modules["opentelemetry"] = None
from gameye_async import AsyncGameye
from gameye_async.emulator import Emulator
from gameye_async.telemetry import OpenTelemetry
async def main():
    async with Emulator() as emulator, AsyncGameye(
        emulator.token, base_url=emulator.url, on_event=OpenTelemetry()
    ) as gameye:
        print((await gameye.launch(image="my-game", location="eu-west")).created_by)
asyncio.run(main())
"""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (run.stdout.strip(), run.stderr) == ("launch", "")


async def test_a_listener_that_was_made_without_the_api_takes_events_in_and_does_nothing(otel, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    listener = OpenTelemetry(tracer_provider=otel.tracer_provider, meter_provider=otel.meter_provider)
    monkeypatch.undo()
    async with emulated(client={"on_event": listener}) as (_, gameye):
        assert (await gameye.launch(new_request())).created_by == "launch"
    assert otel.spans() == []


async def test_without_an_sdk_nothing_is_made_of_it():
    """The API's own tracer and meter take everything and keep nothing."""
    async with emulated(client={"on_event": OpenTelemetry()}) as (_, gameye):
        assert (await gameye.launch(new_request())).created_by == "launch"
