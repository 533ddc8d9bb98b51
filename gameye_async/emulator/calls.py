"""Requests as the operations see them: routed, decoded and checked for the sender's rights."""

import hmac
import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web
from attrs import frozen
from yarl import URL

from gameye_async.emulator.placement import is_loopback
from gameye_async.emulator.refusal import Refusal
from gameye_async.emulator.routes import SCOPES, resolve

_WITH_BODY: Final = frozenset({"session-run", "join-session", "leave-session"})


@frozen(eq=False)
class Call:
    """One request, decoded.

    Args:
        operation: `operationId`, or empty when none was found.
        parameters: Of the path.
        query: Pairs of the query string.
        body: JSON body; None when there is none that decodes.
        refusal: What is already known to be wrong.
    """

    operation: str
    parameters: tuple[str, ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    body: object = None
    refusal: Refusal | None = None

    def required(self, name: str) -> str:
        """A parameter of the query; a `Refusal` with 400 when it is missing or empty."""
        value = dict(self.query).get(name)
        if not value:
            raise Refusal(400, f"The query parameter {name} is required.")
        return value


@frozen
class Keyring:
    """The tokens that are let in, each with its scopes; None stands for all of them."""

    scopes: Mapping[str, frozenset[str] | None]
    missing_scope_status: int

    def refusal(self, authorization: str, operation: str) -> Refusal | None:
        """What is wrong with an `Authorization` header for this operation, or None."""
        if operation == "health":
            return None
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return Refusal(401, "A bearer token is required.")
        for token, scopes in self.scopes.items():
            if hmac.compare_digest(token.encode(), secret.strip().encode(errors="surrogateescape")):
                needed = SCOPES[operation]
                if scopes is None or needed is None or needed in scopes:
                    return None
                return Refusal(self.missing_scope_status, f"The token lacks the scope {needed}.")
        return Refusal(401, "The bearer token is invalid.")


def is_own(request: web.Request) -> bool:
    """Whether a request is for us by a name that nobody else can give us, and from no other site."""
    try:
        own, origin = URL(f"http://{request.host}"), request.headers.get("Origin")
        host = own.host or ""
        transport = request.transport
        is_here = transport is not None and host == transport.get_extra_info("sockname")[0]
        return (is_here or is_loopback(host)) and (origin is None or URL(origin) == own)
    except ValueError:
        return False


async def read_call(request: web.Request, keyring: Keyring) -> Call:
    """Read a request; whatever is wrong with it becomes the refusal of the call."""
    if "Origin" in request.headers and not is_own(request):
        # The token is no secret, and with `run` a launch is a program: a site could point its name to us.
        return Call("", refusal=Refusal(403, "The pages of other sites are kept out."))
    try:
        operation, parameters = resolve(request.method, request.rel_url.raw_path)
        return Call(
            operation,
            parameters,
            query=parse_query(request.rel_url.raw_query_string),
            body=decode_body(await request.read()) if operation in _WITH_BODY else None,
            refusal=keyring.refusal(request.headers.get("Authorization", ""), operation),
        )
    except Refusal as refusal:
        return Call("", refusal=refusal)
    except web.HTTPRequestEntityTooLarge as error:
        return Call("", refusal=Refusal(413, error.text or ""))
    except web.RequestPayloadError:
        return Call("", refusal=Refusal(400, "The body does not decode."))


def parse_query(raw: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a query string, brackets raw or encoded; a `Refusal` with 400 for what does not decode."""
    if not raw:
        return ()
    try:
        return tuple(parse_qsl(raw, keep_blank_values=True, errors="strict"))
    except ValueError:
        raise Refusal(400, "The query is not percent-encoded UTF-8.") from None


def decode_body(raw: bytes) -> object:
    """The JSON value of a body; None for what is no JSON, which is no object either."""
    try:
        return json.loads(raw.decode())
    except (ValueError, RecursionError):
        return None
