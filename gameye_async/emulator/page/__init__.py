"""The page at `/_emulator/`: rendered here, refreshed by one small script whenever something happens."""

from collections.abc import Callable, Iterable
from functools import partial
from importlib.resources import files
from typing import Any, Final

from aiohttp import web

from gameye_async.emulator.page.render import render

_SECURITY: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ASSETS: Final = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


def page_routes(look: Callable[[], dict[str, Any]]) -> Iterable[web.RouteDef]:
    """The page, which shows what `look` answers, and the files it is made of."""
    folder = files(__name__)
    template = folder.joinpath("page.html").read_text(encoding="utf-8")

    async def page(request: web.Request) -> web.Response:
        url = f"{request.scheme}://{request.host}"
        # JSON may hold halves of surrogate pairs, which UTF-8 cannot.
        body = render(template, look(), url).encode(errors="replace")
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=_SECURITY)

    yield web.get("/", page)
    for name, media_type in _ASSETS.items():
        text = folder.joinpath(name).read_text(encoding="utf-8")
        yield web.get(f"/{name}", partial(_asset, text, media_type))


async def _asset(text: str, media_type: str, _request: web.Request) -> web.Response:
    return web.Response(text=text, content_type=media_type, headers=_SECURITY)
