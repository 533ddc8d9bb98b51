"""`gameye-async launch --dry-run`: what would be sent."""

import json
from collections.abc import Iterable
from typing import Any

from gameye_async import LaunchRequest
from gameye_async._codec import launch_body
from gameye_async.cli.lines import write_line


def show_bodies(requests: Iterable[LaunchRequest], *, show_env: bool) -> None:
    """Print the body of each launch as a line of JSON, for the first of its locations.

    Args:
        requests: What would be launched.
        show_env: Print the values of the environment too, which may be secrets.
    """
    for request in requests:
        body: dict[str, Any] = json.loads(launch_body(request, request.location[0]))
        if not show_env:
            body["env"] = dict.fromkeys(body["env"], "***")
        write_line(body)
