"""Serve: `python -m examples.matchmaker` in a checkout, `python -m matchmaker` beside a copy."""

import logging

from aiohttp import web

from .server import build_app
from .settings import from_environment

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
settings = from_environment()
web.run_app(
    build_app(settings), host=settings.host, port=settings.port, access_log=None, shutdown_timeout=5.0
)
