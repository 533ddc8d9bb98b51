"""Reading files of launch requests."""

import json

import pytest

from gameye_async import ConfigurationError
from gameye_async.cli.requests import read_requests

GOOD = b'{"image": "my-game", "location": "europe"}'


def read(tmp_path, *lines):
    path = tmp_path / "matches.jsonl"
    path.write_bytes(b"\n".join(lines))
    return read_requests(str(path))


def refusal(tmp_path, *lines):
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, *lines)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_every_line_is_a_request(tmp_path):
    first, second = read(tmp_path, GOOD, b'{"image": "i", "location": ["a", "b"], "ttl": "1h"}')
    assert (first.image, first.location) == ("my-game", ("europe",))
    assert (second.location, second.ttl) == (("a", "b"), "1h")


def test_blank_lines_and_line_ends_of_any_system_do_not_matter(tmp_path):
    assert len(read(tmp_path, GOOD + b"\r", b"", b"  ", GOOD, b"")) == 2


def test_a_byte_order_mark_does_not_matter(tmp_path):
    assert len(read(tmp_path, b"\xef\xbb\xbf" + GOOD)) == 1


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path):
    line = json.dumps({"image": "a\u2028b", "location": "europe"}, ensure_ascii=False)
    assert read(tmp_path, line.encode())[0].image == "a\u2028b"


def test_an_empty_file_holds_no_requests(tmp_path):
    assert read(tmp_path, b"") == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"image": ', "not JSON: Expecting value at column 11"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "a launch request is a JSON object, not a list"),
        (b'{"image": "i", "location": "l", "regoin": "x"}', "'regoin' is not a field of a launch request"),
        (b'{"image": "i"}', "a launch request needs 'location'"),
        (b'{"image": "i", "location": "l", "args": ["a", ""]}', "args[1] must not be empty"),
        (b'{"image": "i", "location": "l", "env": {"A": 1}}', "env['A'] must be text"),
        (b'{"image": "i", "location": "l", "ttl": "1d"}', "ttl '1d' is not expressible"),
    ],
)
def test_a_bad_line_is_refused_with_file_line_field_and_reason(tmp_path, line, reason):
    assert refusal(tmp_path, GOOD, b"", line).startswith(f"matches.jsonl:3: {reason}")


def test_a_second_line_with_the_same_id_is_refused(tmp_path):
    line = b'{"id": "match-1", "image": "i", "location": "l"}'
    assert refusal(tmp_path, line, GOOD, line) == "matches.jsonl:3: id 'match-1' is that of line 1 already"


def test_all_bad_lines_are_named_up_to_a_point(tmp_path):
    complaints = refusal(tmp_path, *[b"{}"] * 12).splitlines()
    assert [line.partition(" ")[0] for line in complaints[:10]] == [
        f"matches.jsonl:{n}:" for n in range(1, 11)
    ]
    assert complaints[10:] == ["and 2 more lines"]


@pytest.mark.parametrize(("name", "reason"), [("absent.jsonl", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path, name, reason):
    path = str(tmp_path / name)
    with pytest.raises(ConfigurationError, match=f"cannot read {path}: {reason}"):
        read_requests(path)
