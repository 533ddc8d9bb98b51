"""Scenario files: everything an emulator takes, and a complaint about everything it does not."""

import pytest

from gameye_async.emulator import Fault, Image, Quirks, Scenario, WarmPool

FULL = """
profile = "legacy"
token = "a-token"
seed = 7
capacity = 9
locations = ["eu-west", "eu-east"]
start_rate = 10
start_burst = 2.5
start_seconds = 0.5
stop_seconds = 1
retention_seconds = 60
quota_seconds = 3600
quota_starts = 100

[quirks]
missing_tag = "not_found"
omit_list_fields = ["tag"]
check_order = [420, 401, 403, 422, 404, 409, 402]
read_lag = 1

[images.my-game]
ports = ["7777/udp", "80/tcp"]
tags = ["1.4.0", "1.3.2"]
labels = { maintainer = "Somebody" }

[images.my-game.tags_in]
eu-east = ["1.3.2"]

[[pools]]
image = "my-game"
location = "eu-west"
size = 3
refill_seconds = 2
env = { MAP = "harbour" }
args = ["--fast"]

[[faults]]
kind = "refuse"
operation = "session-run"
location = "eu-east"
status = 420
count = 20

[[faults]]
kind = "latency"
distribution = "lognormal"
seconds = 1
spread = 0.3
"""


@pytest.fixture
def scenario(tmp_path):
    def load(text: str) -> Scenario:
        path = tmp_path / "scenario.toml"
        path.write_text(text, encoding="utf-8")
        return Scenario.load(path)

    return load


def test_everything_arrives_in_the_emulator(scenario):
    emulator = scenario(FULL).emulator()
    world = emulator.world
    assert (world.profile.name, emulator.token) == ("legacy", "a-token")
    assert {name: place.capacity for name, place in world.places.items()} == {"eu-west": 9, "eu-east": 9}
    assert world.quirks == Quirks(
        missing_tag="not_found",
        omit_list_fields=["tag"],
        check_order=[420, 401, 403, 422, 404, 409, 402],
        read_lag=1,
    )
    assert world.images == {
        "my-game": Image(
            ports=(("udp", 7777), ("tcp", 80)),
            tags=("1.4.0", "1.3.2"),
            tags_in={"eu-east": ("1.3.2",)},
            labels={"maintainer": "Somebody"},
        )
    }
    assert world.pools == (
        WarmPool("my-game", "eu-west", 3, refill_seconds=2, env={"MAP": "harbour"}, args=("--fast",)),
    )
    assert list(emulator.faults) == [
        Fault("refuse", operation="session-run", location="eu-east", status=420, count=20),
        Fault("latency", distribution="lognormal", seconds=1, spread=0.3),
    ]
    assert (world.start_rate, world.start_burst, world.start_seconds) == (10, 2.5, 0.5)
    assert (world.quota_seconds, world.quota_starts, world.retention_seconds) == (3600, 100, 60)


def test_an_empty_file_is_an_emulator_like_any_other(scenario):
    assert scenario("").options() == {}


def test_capacities_can_be_given_by_location(scenario):
    places = scenario("[locations]\neu-west = 40\neu-east = 0").emulator().world.places
    assert {name: place.capacity for name, place in places.items()} == {"eu-west": 40, "eu-east": 0}


def test_what_the_caller_says_comes_first(scenario):
    emulator = scenario('token = "a"\nprofile = "legacy"').emulator(token="b")
    assert (emulator.token, emulator.world.profile.name) == ("b", "legacy")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('profil = "legacy"', ": unknown profil; known are profile, token, "),
        ('profile = "old"', ": profile: must be one of current, legacy, not 'old'"),
        ("start_rate = -1", "'start_rate' must be >= 0: -1"),
        ("start_rate = true", ": start_rate: must be a number, not True"),
        ("start_rate = nan", ": start_rate: must be a number, not nan"),
        ('seed = "7"', ": seed: must be a whole number, not '7'"),
        ('locations = "eu-west"', ": locations: must be "),
        ("locations = [1]", ": locations[0]: must be a text, not 1"),
        ('[locations]\neu-west = "many"', ": locations['eu-west']: must be a whole number, not 'many'"),
        ("quirks = 5", ": quirks: must be a table of names and values, not 5"),
        ('[quirks]\nmissing_tog = "x"', ": quirks: unknown missing_tog; known are leave_without_session, "),
        ('[quirks]\nroster = "x"', ": quirks.roster: must be one of whole, echo, not 'x'"),
        ("[quirks]\ncheck_order = [401]", ": quirks: check_order must hold each of "),
        ('[quirks]\nomit_list_fields = ["port"]', ": quirks: not optional fields of a list entry: ['port']"),
        ('[images.g]\nports = ["7777"]', ": images['g'].ports: must be ports like '7777/udp', not ['7777']"),
        ("[images.g]\nports = [7777]", ": images['g'].ports: must be ports like '7777/udp', not [7777]"),
        ('[images.g]\ntags = "latest"', ": images['g'].tags: must be an array, not 'latest'"),
        ('[[pools]]\nimage = "g"\nlocation = "europe"', ": pools[0].size: size is required"),
        ('[[pools]]\nimage = "g"\nlocation = "x"\nsize = 1', ": pools[0]: there is no location x"),
        (
            '[images.h]\n[[pools]]\nimage = "g"\nlocation = "europe"\nsize = 1',
            ": pools[0]: there is no image g",
        ),
        ('[[faults]]\nkind = "gremlin"', ": faults[0].kind: must be one of latency, "),
        ('[[faults]]\nkind = "latency"\nsecs = 1', ": faults[0]: unknown secs; known are kind, operation, "),
        ('[[faults]]\nkind = "latency"\nlocation = "x"', ": faults[0]: there is no location x"),
        ("profile = ", "Invalid value (at end of document)"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(scenario, text, complaint):
    with pytest.raises(ValueError, match=r"scenario\.toml: ") as caught:
        scenario(text)
    assert complaint in str(caught.value)


def test_everything_that_is_wrong_is_named_at_once(scenario):
    with pytest.raises(ValueError, match="seed") as caught:
        scenario('seed = "7"\nprofil = "legacy"\n[[faults]]\nkind = "latency"\nseconds = "1"')
    assert str(caught.value).count("scenario.toml: ") == 3
