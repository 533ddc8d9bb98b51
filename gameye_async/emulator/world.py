"""The API as methods of a world: checks, calls and answers, still without I/O."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from attrs import define

from gameye_async.emulator import archive
from gameye_async.emulator.fleet import Fleet, Reservation
from gameye_async.emulator.refusal import Refusal
from gameye_async.emulator.selection import Selection
from gameye_async.emulator.sessions import Image, Session, WarmPool
from gameye_async.emulator.timeline import Event
from gameye_async.emulator.validation import JOIN, LEAVE, require


@define(eq=False, kw_only=True)
class World(Fleet):
    """Gameye's API over a `Fleet`: wire bodies in, wire answers or a `Refusal` out.

    Takes the arguments of `Fleet`, which also has the hooks for whoever plays the containers.
    """

    def reserve(self, body: object, *, denied: Refusal | None = None) -> Reservation:
        """Check a launch and take its id, seat and ports; `commit` or `release` comes next.

        Args:
            body: The decoded JSON body.
            denied: What authentication already found wrong (401 or 403); raised when its turn comes.

        Raises:
            Refusal: The first check of `quirks.check_order` that fails.
        """
        now = self.settle()
        try:
            fields, pool = self._admit(body, denied, now)
            reservation = self._reserve(fields, self._image(fields["image"]), pool, now)
        except Refusal as refusal:
            self._timeline.record(Event(now, "refused", _named_id(body), str(refusal)))
            raise
        self._rate.spend()
        return reservation

    def launch(self, body: object) -> dict[str, Any]:
        """`POST /session`, with a container that starts at once.

        Raises:
            Refusal: 404, 409, 402, 420 or 422.
        """
        return self.commit(self.reserve(body))

    def describe(self, session_id: str) -> dict[str, Any]:
        """`GET /session/{id}`.

        Raises:
            Refusal: 404.
        """
        return self._readable(session_id).details(self.epoch)

    def list_sessions(self, query: Iterable[tuple[str, str]] = ()) -> dict[str, Any] | list[Any]:
        """`GET /session`; `query` holds the decoded pairs of the query string.

        Raises:
            Refusal: 400, a parameter is not of its type.
        """
        now = self.settle()
        selection = Selection.parse(query)
        omitted = self.quirks.omit_list_fields
        entries: list[dict[str, Any]] = []
        for session in (self._by_id if selection.everything else self._live).values():
            if session.visible_at <= now and selection.matches(session):
                entry = session.entry(self.epoch)
                for name in omitted:
                    del entry[name]
                entries.append(entry)
        return entries if self.quirks.bare_list else {"sessions": entries}

    def stop(self, session_id: str) -> None:
        """`DELETE /session/{id}`; stopping a session that is shutting down is fine.

        Raises:
            Refusal: 404, or 409 for a session that is over.
        """
        now = self.settle()
        session = self.session(session_id)
        if session.is_over:
            raise Refusal(409, f"The session {session_id} has already been terminated.")
        self._shut_down(session, now, "stopped")

    def join(self, body: object) -> dict[str, Any]:
        """`PUT /session/player/join`; joining twice changes nothing, and nothing limits the roster.

        Raises:
            Refusal: 422, or 404 for a session that is unknown or over.
        """
        wanted = require(body, JOIN, ("session", "players"))
        session = self._joinable(wanted["session"])
        session.players.update(dict.fromkeys(wanted["players"]))
        self._record("joined", session, self.settle(), ",".join(wanted["players"]))
        return self._roster(session, wanted["players"])

    def leave(self, body: object) -> dict[str, Any]:
        """`DELETE /session/player/leave`; leaving twice changes nothing.

        Raises:
            Refusal: 422, or 404 for a session that is unknown, over or, by a quirk, not named.
        """
        quirks = self.quirks
        fields = JOIN if quirks.leave_accepts_session else LEAVE
        must_name = quirks.leave_without_session == "rejected" and quirks.leave_accepts_session
        wanted = require(body, fields, ("session", "players") if must_name else ("players",))
        players: list[str] = wanted["players"]
        if "session" in wanted:
            session = self._joinable(wanted["session"])
        elif quirks.leave_without_session == "ok":
            session = self._holder(players)
        else:
            raise Refusal(404, "The provided session does not exist.")
        for player in players:
            session.players.pop(player, None)
        self._record("left", session, self.settle(), ",".join(players))
        return self._roster(session, players)

    def available_locations(self, image: str) -> dict[str, Any]:
        """`GET /available-location/{image}`: the locations that have room now.

        Raises:
            Refusal: 404, the image is unknown.
        """
        self.settle()
        known = self._image(image)
        return {
            "locations": [
                {"id": place.name, "ips": [place.address]}
                for place in self.places.values()
                if place.has_room and known.first_tag(place.name) is not None
            ]
        }

    def tag_exists(self, location: str, image: str, version: str) -> dict[str, Any]:
        """`GET /tag/{region}/{image}/{version}`.

        Raises:
            Refusal: 404, region or image is unknown or, by a quirk, the tag.
        """
        self._check_location(location)
        exists = self._image(image).has_tag(version, location)
        if not exists and self.quirks.missing_tag == "not_found":
            raise Refusal(404, f"The tag {version} of {image} does not exist.", code="RESOURCE_NOT_FOUND")
        return {"exists": exists}

    def regions(self) -> dict[str, Any]:
        """`GET /region`."""
        return {"regions": list(self.places)}

    def logs(self, session_id: str) -> bytes:
        """`GET /logs` without `follow`: everything written so far.

        Raises:
            Refusal: 404.
        """
        return bytes(self._readable(session_id).log)

    def artifact(self, session_id: str, path: str) -> bytes:
        """`GET /artifacts`: what lies at `path`, as a tar.

        Raises:
            Refusal: 400 for a relative path, 404 for an unknown session or an empty path, and 409 while the
                session runs (the real refusal is undocumented).
        """
        session = self._readable(session_id)
        if not path.startswith("/"):
            raise Refusal(400, "The path must be absolute.")
        if not session.is_over:
            raise Refusal(409, "Artifacts are available once the session has been terminated.")
        packed = archive.pack(
            session.files,
            path,
            modified=self.epoch + session.created,
            compress=self.quirks.artifact_format == "gzip",
        )
        if packed is None:
            raise Refusal(404, f"There is nothing at {path}.")
        return packed

    def health(self) -> dict[str, Any]:
        """`GET /health`; its body is undocumented."""
        return {"status": "ok"}

    def metrics(self) -> str:
        """`GET /metrics` as Prometheus text; its body is undocumented."""
        self.settle()
        return "".join(self._metric_lines())

    def add_foreign_session(
        self,
        session_id: str,
        *,
        image: str,
        location: str,
        labels: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        age: float = 0.0,
    ) -> Session:
        """Somebody else of the account launches a session, unhindered by start rate and quota.

        Args:
            session_id: Its id.
            image: Its image.
            location: Its location.
            labels: Its labels.
            env: Its environment.
            age: Seconds that it has been running already.

        Raises:
            Refusal: 404, 409 or 420.
        """
        fields = {"id": session_id, "image": image, "location": location, "labels": labels, "env": env}
        now = self.settle()
        self._check_existence(fields, None)
        self._check_id(session_id)
        self._check_capacity(location)
        reservation = self._reserve(fields, self._image(image), None, now - age)
        self.commit(reservation)
        return reservation.session

    def _admit(
        self, body: object, denied: Refusal | None, now: float
    ) -> tuple[Mapping[str, Any], WarmPool | None]:
        """The fields of a launch that passes every check, and the warm pool that serves it."""
        try:
            fields = require(body, self.profile.launch_fields, self.profile.launch_required)
        except Refusal as invalid:
            # A malformed launch names nothing that could be looked up: only its form and its sender count.
            found = [refusal for refusal in (denied, invalid) if refusal is not None]
            raise min(found, key=lambda refusal: self.quirks.check_order.index(refusal.status)) from None
        place = fields["image"], fields["location"]
        pool = self._pools[place] if self._stock.get(place) else None
        for status in self.quirks.check_order:
            if denied is not None and status == denied.status:
                raise denied
            match status:
                case 404:
                    self._check_existence(fields, pool)
                case 409:
                    self._check_id(fields.get("id"))
                case 402 if self._quota.is_exhausted(now):
                    raise Refusal(self.quirks.quota_status, code="QUOTA_EXCEEDED")
                case 420:
                    self._check_capacity(fields["location"])
                    if not self._rate.allows(now):
                        raise Refusal(420, "Too many sessions were started in a short time.")
                case _:
                    pass
        return fields, pool

    def _check_existence(self, fields: Mapping[str, Any], pool: WarmPool | None) -> None:
        location, name = fields["location"], fields["image"]
        self._check_location(location)
        image = self._image(name)
        version = (pool.version if pool else fields.get("version")) or image.first_tag(location)
        if version is None or not image.has_tag(version, location):
            raise Refusal(404, f"The tag {version} of {name} is not available in {location}.")

    def _check_location(self, location: str) -> None:
        if location not in self.places:
            raise Refusal(404, f"The region {location} does not exist.")

    def _check_id(self, session_id: str | None) -> None:
        earlier = self._by_id.get(session_id) if session_id else None
        is_used = earlier is not None and not (earlier.is_over and self.quirks.reuse_ended_id)
        if is_used or session_id in self._reserved_ids:
            raise Refusal(409, f"Cannot start a session with the id {session_id}: it is already used.")

    def _check_capacity(self, location: str) -> None:
        place = self.places.get(location)
        if place is not None and not place.has_room:
            raise Refusal(420, f"There is no capacity left in {location}.")

    def _image(self, name: str) -> Image:
        if self.images is None:
            return self._any_image
        try:
            return self.images[name]
        except KeyError:
            raise Refusal(404, f"The image {name} does not exist. Check its name.") from None

    def _readable(self, session_id: str) -> Session:
        session = self.session(session_id)
        if session.visible_at > self.clock():
            raise Refusal(404, f"The session {session_id} does not exist.")
        return session

    def _joinable(self, session_id: str) -> Session:
        session = self.session(session_id)
        if session.is_over:
            raise Refusal(404, f"The session {session_id} is over.")
        return session

    def _holder(self, players: list[str]) -> Session:
        for session in self._live.values():
            if not session.players.keys().isdisjoint(players):
                return session
        raise Refusal(404, "No session holds these players.")

    def _roster(self, session: Session, players: list[str]) -> dict[str, Any]:
        shown = players if self.quirks.roster == "echo" else list(session.players)
        return {"count": len(session.players), "players": shown}

    def _metric_lines(self) -> Iterator[str]:
        gauges = {
            "sessions": {place.name: place.used for place in self.places.values()},
            "capacity": {place.name: place.capacity for place in self.places.values()},
        }
        for gauge, numbers in gauges.items():
            yield f"# TYPE gameye_{gauge} gauge\n"
            for name, number in numbers.items():
                # JSON escapes as Prometheus does: quotation marks, backslashes and ends of lines.
                yield f"gameye_{gauge}{{location={json.dumps(name, ensure_ascii=False)}}} {number}\n"
        yield "# TYPE gameye_players gauge\n"
        yield f"gameye_players {sum(len(session.players) for session in self._live.values())}\n"


def _named_id(body: object) -> str:
    named = cast("dict[str, object]", body).get("id") if isinstance(body, dict) else None
    return named if isinstance(named, str) else ""
