"""Traces and metrics of launches, on the console: `python examples/observability.py`.

It needs `pip install gameye-async[otel] opentelemetry-sdk`, and launches at the API that `GAMEYE_API_URL` and
`GAMEYE_API_TOKEN` name. Without them it starts an emulator, which loses an answer and soon has no room in the
first location, so that there is something to see.
"""

import asyncio
import os
from contextlib import AsyncExitStack

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from gameye_async import AsyncGameye, LaunchRequest
from gameye_async.emulator import Emulator, Fault
from gameye_async.telemetry import OpenTelemetry

MATCHES = 5


async def play(gameye: AsyncGameye) -> None:
    """Launch some matches, and stop them."""
    requests = [
        LaunchRequest("my-game", ["eu-west", "eu-east"], labels={"match": str(match)}, ttl="10m")
        for match in range(MATCHES)
    ]
    async with gameye.launch_many(requests) as outcomes:
        launched = [outcome.session.id async for outcome in outcomes if outcome.session]
    async with gameye.stop_many(launched) as outcomes:
        stopped = [outcome async for outcome in outcomes if outcome.ok]
    print(f"{len(launched)} launched, {len(stopped)} stopped")


async def main() -> None:
    """Play with telemetry on, at the API or at an emulator."""
    tracers, meters = (
        TracerProvider(),
        MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())]),
    )
    tracers.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    async with AsyncExitStack() as stack:
        token, url = None, None
        if "GAMEYE_API_URL" not in os.environ:
            faults = [Fault("cut_after_commit", operation="session-run", count=1)]
            emulator = await stack.enter_async_context(
                Emulator(locations={"eu-west": 3, "eu-east": 100}, faults=faults)
            )
            token, url = emulator.token, emulator.url
        listener = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
        gameye = await stack.enter_async_context(AsyncGameye(token, base_url=url, on_event=listener))
        with tracers.get_tracer("examples").start_as_current_span("matches"):
            await play(gameye)
    # What is left in the exporters' buffers goes out; a server does this when it ends.
    tracers.shutdown()
    meters.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
