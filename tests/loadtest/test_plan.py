"""Plans and profiles of load tests."""

import pytest

from gameye_async import ConfigurationError
from gameye_async.loadtest import SHAPES, Phase, Plan, Shape, Shard, ramp, spike, steps


def plan(*arguments, **options):
    return Plan(*(arguments or ("my-game", "eu-west")), **{"rate": 10, "duration": 5} | options)


def test_its_requests_carry_the_ttl_and_labels_of_the_run():
    wanted = plan("my-game", ["eu-west", ["eu-east", "us-east"]], run="friday", shard="2/8", args=["-v"])
    request = wanted.request(1)
    assert (request.location, request.ttl, request.args) == (("eu-east", "us-east"), "5m", ("-v",))
    assert request.labels == {"loadtest": "friday", "shard": "2/8"}
    assert request.id != wanted.request(1).id


def test_every_run_has_a_label_of_its_own():
    assert plan().run != plan().run


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"rate": 0}, "rate must be greater than 0"),
        ({"duration": float("inf")}, "duration must be greater than 0"),
        ({"lifetime": -1}, "lifetime must not be negative"),
        ({"lifetime": 300}, "ttl 5m must be longer than the lifetime of 300 s"),
        ({"ttl": "90s"}, "ttl '90s' is not expressible"),
        ({"arrivals": "bursts"}, "arrivals must be"),
        ({"max_cost": 5.0}, "max_cost needs price_per_hour"),
        ({"max_sessions": 0}, "max_sessions must be greater than 0"),
        ({"shard": "9/8"}, "a shard is one of 1/8 to 8/8"),
        ({"shard": "0/8"}, "a shard is one of 1/8 to 8/8"),
        ({"shard": "two"}, "a shard is written as 2/8, not 'two'"),
        ({"shard": "1/0"}, "a shard is written as 2/8"),
        ({"env": {"MODE": ""}}, "env['MODE'] must not be empty"),
        ({"version": ""}, "version must not be empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, complaint):
    with pytest.raises(ConfigurationError) as caught:
        plan(**options)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("location", [[], [[]], "", [""]])
def test_a_plan_needs_a_location(location):
    with pytest.raises(ConfigurationError, match="location"):
        plan("my-game", location)


def test_the_values_of_env_are_in_no_repr():
    assert "s3cret" not in repr(plan(env={"KEY": "s3cret"}))


@pytest.mark.parametrize("count", [1, 3, 8])
def test_caps_are_shared_out_among_the_shards(count):
    parts = [
        plan(shard=Shard(index, count), max_sessions=100, max_cost=6.0, price_per_hour=0.5)
        for index in range(1, count + 1)
    ]
    assert sum(part.session_cap for part in parts) == 100
    assert sum(part.cap_seconds for part in parts) == pytest.approx(12 * 3600)


def test_without_a_price_there_is_no_cost():
    assert plan().cost(3600) is None
    assert plan(price_per_hour=0.25).cost(7200) == 0.5


def test_shards_of_one_test_know_each_other():
    one, other = plan(shard="1/2", run="a"), plan(shard="2/2", run="b")
    assert one.is_part_of(other)
    assert not one.is_part_of(plan(shard="2/2", rate=11))


def test_shapes_have_the_mean_they_seem_to_have():
    assert {name: shape.mean for name, shape in SHAPES.items()} == pytest.approx(
        {"constant": 1.0, "ramp": 0.5, "spike": 0.36, "steps": 0.6}
    )
    assert ramp(1.0, 3.0).mean == 2.0
    assert spike(base=0.0, peak=1.0, share=0.5).mean == 0.5
    assert steps([1, 3]).mean == 2.0


def test_shares_are_parts_of_the_duration():
    shape = Shape([Phase(1, 0.0, 1.0), Phase(3, 0.5)])
    assert shape.pieces(rate=200, duration=60) == [(15, 0, 200), (45, 100, 100)]


def profile(tmp_path, text):
    path = tmp_path / "profile.toml"
    path.write_text(text)
    return path


def test_a_profile_is_a_file_of_phases(tmp_path):
    path = profile(tmp_path, "[[phases]]\nshare = 1\nlevel = 0.0\nto = 1\n[[phases]]\nshare = 2\nlevel = 1\n")
    assert Shape.load(path) == Shape([Phase(1, 0.0, 1), Phase(2, 1)])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("phases = [", ""),
        ("", "a profile holds [[phases]] and nothing else"),
        ("rate = 5\n[[phases]]\nshare=1\nlevel=1", "a profile holds [[phases]] and nothing else"),
        ("[phases]\nshare=1\nlevel=1", "a profile holds [[phases]] and nothing else"),
        ("phases = []", "a shape needs a phase"),
        ("[[phases]]\nshare=1\nlevel=0", "a shape needs a phase"),
        ("[[phases]]\nlevel=1", "a phase has a share, a level"),
        ("[[phases]]\nshare=1\nlevel=1\nform=2", "a phase has a share, a level"),
        ("[[phases]]\nshare=-1\nlevel=1", "share of a phase must be a number from 0 to a billion, not -1"),
        ("[[phases]]\nshare=1\nlevel=inf", "level of a phase must be a number from 0 to a billion, not inf"),
        ("[[phases]]\nshare=1e300\nlevel=1", "share of a phase must be a number from 0 to a billion"),
        (
            "[[phases]]\nshare=1\nlevel=true",
            "level of a phase must be a number from 0 to a billion",
        ),
        ("phases = [3]", "a phase has a share, a level"),
    ],
)
def test_a_bad_profile_is_told(tmp_path, text, complaint):
    path = profile(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        Shape.load(path)
    assert str(caught.value).startswith(f"{path}: {complaint}")


def test_a_profile_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        Shape.load(tmp_path / "absent.toml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="binary: "):
        Shape.load(tmp_path / "binary")
