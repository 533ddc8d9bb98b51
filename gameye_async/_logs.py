"""The log of a session as lines, over as many connections as it takes."""

import asyncio
import zlib
from collections import deque
from types import TracebackType
from typing import Self

from attrs import define, field

from gameye_async import _api, _policy, _streams
from gameye_async._calls import Caller
from gameye_async._exchange import Streaming
from gameye_async._lines import LineSplitter, sanitized
from gameye_async._options import Options
from gameye_async.errors import BadAnswerError, GameyeError, NoAnswerError, NotFoundError

_TAIL = 20


@define
class Replay:
    """Tells what is new in a log that comes from its start with every connection.

    The API knows no offset, so bytes are counted, and a checksum says whether those that come again are the
    same.

    Attributes:
        given: Bytes that have been handed out.
    """

    given: int = 0
    _sum: int = field(default=0, init=False)
    _again: int = field(default=0, init=False)
    _sum_again: int = field(default=0, init=False)

    @property
    def is_behind(self) -> bool:
        """Whether bytes that came before have not come again yet."""
        return self._again < self.given

    def rewind(self) -> None:
        """The log comes from its start again."""
        self._again = self._sum_again = 0

    def unseen(self, chunk: bytes) -> bytes:
        """The part of the next bytes that did not come before.

        Raises:
            BadAnswerError: The log does not begin as it did.
        """
        known = chunk[: self.given - self._again]
        if known:
            self._again += len(known)
            self._sum_again = zlib.crc32(known, self._sum_again)
            if not self.is_behind and self._sum_again != self._sum:
                raise BadAnswerError(
                    f"the log no longer begins with the {self.given} bytes that were read before, "
                    "so that lines would be lost or repeated; read it anew"
                )
        new = chunk[len(known) :]
        self.given += len(new)
        self._again += len(new)
        self._sum = zlib.crc32(new, self._sum)
        return new


@define(eq=False)
class Log:
    """The lines of a session's log: an async context manager over an async iterator, for one consumer.

    A dropped connection is made again, and each line is given once. A followed log ends with its session:
    when the stream ends, the session is looked at, and once it is over the log is read a last time, because
    a proxy may make a good end of a cut. A read that is cancelled, by a timeout say, loses nothing.

    Attributes:
        caller: What all calls share.
        options: Settings of the call.
        session_id: Whose log.
        follow: Whether to go on until the session ends.
        sanitize: Whether to take out what could fool a terminal.
    """

    caller: Caller
    options: Options
    session_id: str
    follow: bool
    sanitize: bool
    _replay: Replay = field(factory=Replay, init=False)
    _splitter: LineSplitter = field(factory=LineSplitter, init=False)
    _ready: deque[str] = field(factory=deque[str], init=False)
    _stream: Streaming | None = field(default=None, init=False)
    _last_look: bool = field(init=False)
    _cuts: int = field(default=0, init=False)
    _cut_since: float = field(default=0.0, init=False)
    _done: bool = field(default=False, init=False)
    _entered: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._last_look = not self.follow

    async def __aenter__(self) -> Self:
        await self._open()
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._done = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if not self._entered:
            raise RuntimeError("a log is read inside `async with`, which closes its connection")
        while not self._ready:
            if self._done:
                raise StopAsyncIteration
            await self._read()
        return self._ready.popleft()

    async def _read(self) -> None:
        if self._stream is None:
            await self._open()
            return
        try:
            chunk = await anext(self._stream.chunks, b"")
        except NoAnswerError as error:
            await self._reconnect(error)
            return
        if chunk:
            self._take(chunk)
        elif self._replay.is_behind:
            await self._reconnect(NoAnswerError("GET /logs: the answer ended early."))
        else:
            await self._end()

    async def _open(self) -> None:
        request = _api.logs(self.session_id, follow=not self._last_look)
        until = self.caller.clock() + self.options.timeouts.deadline
        try:
            stream = await _streams.open_stream(
                self.caller, request, self.options, until, again=self._cuts > 0
            )
        except NotFoundError:
            # The log was complete when its container was removed.
            if self.follow and self._last_look:
                self._finish()
                return
            raise
        if self._last_look and stream.length == self._replay.given:
            stream.close()
            self._finish()
        else:
            self._stream = stream
            self._replay.rewind()

    def _take(self, chunk: bytes) -> None:
        new = self._replay.unseen(chunk)
        if not new:
            return
        self._cuts = 0
        lines = self._splitter.feed(new)
        self._ready.extend(map(sanitized, lines) if self.sanitize else lines)

    async def _end(self) -> None:
        self._close()
        if self._last_look:
            self._finish()
            return
        seen = await self.caller.once(_api.describe(self.session_id), self.options)
        if isinstance(seen, GameyeError):
            self._last_look = isinstance(seen, NotFoundError)
        else:
            self._last_look = seen.status is not None and seen.status.is_over
        if not self._last_look:
            await self._reconnect(NoAnswerError("GET /logs: the answer ended while the session went on."))

    async def _reconnect(self, cut: NoAnswerError) -> None:
        """Wait for the next connection; a log that only has to come to its end must get further in time."""
        self._close()
        now = self.caller.clock()
        if not self._cuts:
            self._cut_since = now
        self._cuts += 1
        if self._last_look and now - self._cut_since >= self.options.timeouts.deadline:
            raise NoAnswerError(f"{cut.message} It was read up to byte {self._replay.given}.") from None
        await asyncio.sleep(_policy.transient_delay(self.options.retry, self._cuts, self.caller.rng))

    def _finish(self) -> None:
        rest = self._splitter.finish()
        self._ready.extend(map(sanitized, rest) if self.sanitize else rest)
        self._done = True

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


async def log_tail(caller: Caller, options: Options, session_id: str) -> tuple[str, ...]:
    """The last lines of a session's log; none when they cannot be had within the time of an attempt."""
    tail: deque[str] = deque(maxlen=_TAIL)
    try:
        with caller.sweeper.until(caller.clock() + options.timeouts.attempt):
            async with Log(caller, options, session_id, follow=False, sanitize=True) as lines:
                async for line in lines:
                    tail.append(line)
    except GameyeError:
        return ()
    return tuple(tail)
