"""A world under arbitrary sequences of calls keeps its books."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gameye_async.emulator import Quirks, Refusal, WarmPool
from tests.emulator.harness import Clock, new_world

LOCATIONS = {"europe": 3, "us-east": 2}
names = st.sampled_from([f"m-{number}" for number in range(8)])
places = st.sampled_from([*LOCATIONS, "atlantis"])


def attempt(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except Refusal as refusal:
        if refusal.status not in {404, 409, 420}:
            raise
        return None


class WorldMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.reservations = []

    @initialize(reuse=st.booleans(), start=st.sampled_from([0, 5]), stop=st.sampled_from([0, 5]))
    def begin(self, reuse, start, stop):
        self.world = new_world(
            self.clock,
            locations=LOCATIONS,
            quirks=Quirks(reuse_ended_id=reuse),
            start_seconds=start,
            stop_seconds=stop,
            retention_seconds=90,
            pools=[WarmPool("my-game", "europe", 1, refill_seconds=7)],
        )

    @rule(name=names, place=places, ttl=st.sampled_from([None, "1m", "2m"]), restart=st.booleans())
    def reserve(self, name, place, ttl, restart):
        body = {"id": name, "location": place, "image": "my-game", "restart": restart}
        reservation = attempt(self.world.reserve, body if ttl is None else body | {"ttl": ttl})
        if reservation is not None:
            self.reservations.append(reservation)

    @precondition(lambda self: self.reservations)
    @rule(commit=st.booleans())
    def conclude(self, commit):
        reservation = self.reservations.pop(0)
        attempt(self.world.commit if commit else self.world.release, reservation)

    @rule(name=names, place=places)
    def intrude(self, name, place):
        attempt(self.world.add_foreign_session, name, image="other", location=place)

    @rule(name=names)
    def stop(self, name):
        attempt(self.world.stop, name)

    @rule(name=names)
    def crash(self, name):
        attempt(self.world.crash, name)

    @rule(name=names)
    def exit(self, name):
        attempt(self.world.end_session, name)

    @rule(seconds=st.sampled_from([1, 5, 60, 200]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(keep_memory=st.booleans())
    def restart_platform(self, keep_memory):
        self.world.restart(keep_memory=keep_memory)
        self.reservations.clear()

    @invariant()
    def seats_are_those_of_live_sessions_and_reservations(self):
        held = Counter(session.location for session in self.world.live)
        held.update(reservation.session.location for reservation in self.reservations)
        for name, place in self.world.places.items():
            assert place.used == held[name] <= place.capacity

    @invariant()
    def ids_and_addresses_are_unique(self):
        sessions = [*self.world.live, *(reservation.session for reservation in self.reservations)]
        ids = [session.id for session in sessions]
        addresses = [(session.host, port) for session in sessions for port in session.host_ports]
        assert len(ids) == len(set(ids))
        assert len(addresses) == len(set(addresses))

    @invariant()
    def lists_agree_with_the_live_sessions(self):
        listed = {entry["id"] for entry in self.world.list_sessions()["sessions"]}
        assert listed == {session.id for session in self.world.live if session.status == "running"}

    @invariant()
    def history_is_in_order(self):
        times = [event.at for event in self.world.history]
        assert times == sorted(times)


WorldMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestWorldMachine = WorldMachine.TestCase
