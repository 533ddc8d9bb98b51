"""Bytes become lines, however they arrive and whatever is in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameye_async._lines import LineSplitter, sanitized


def split(*chunks: bytes, limit: int = 100) -> list[str]:
    splitter = LineSplitter(limit)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()


def test_a_line_ends_with_a_line_feed():
    assert split(b"one\n\ntwo\r\nthree") == ["one", "", "two", "three"]


def test_a_log_that_ends_with_its_last_line_has_no_empty_one_after_it():
    assert split(b"one\n") == ["one"]


def test_bytes_that_are_not_utf_8_are_replaced():
    assert split(b"caf\xe9 \xf0\x9f\n") == ["caf\ufffd \ufffd"]


def test_a_line_that_is_too_long_comes_in_pieces():
    assert split(b"abcdefgh\nij\n", limit=3) == ["abc", "def", "gh", "ij"]


def test_a_carriage_return_that_fits_no_more_waits_for_its_line_feed():
    assert split(b"abc\r", b"\n", limit=3) == ["abc"]
    assert split(b"abc\r", b"d\n", limit=3) == ["abc", "\rd"]


def test_only_the_end_of_a_line_is_taken_off():
    assert split(b"a\r\r\nb\r") == ["a\r", "b"]


def test_a_line_without_end_does_not_grow():
    splitter = LineSplitter(limit=10)
    for _ in range(1_000):
        splitter.feed(b"x" * 100)
    assert len(splitter.finish()) <= 2


@given(
    st.lists(
        st.one_of(st.binary(max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r", "h\xe9llo \u2603".encode()]))
    ),
    st.data(),
)
def test_how_the_bytes_arrive_does_not_matter(parts, data):
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert split(*chunks, limit=7) == split(whole, limit=7)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain text, caf\xe9, \u2603", "plain text, caf\xe9, \u2603"),
        ("a\tb", "a\tb"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP+q544e\x1b\\after", "after"),
        ("\x9b31mred\x9d0;title\x9cafter", "redafter"),
        ("\x1b(Bset\x1b7", "set"),
        ("\x1b]0;never ends", "0;never ends"),
        ("ok\rFAKE", "okFAKE"),
        ("one\u2028two\x85three\x00", "onetwothree"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
    ],
)
def test_what_could_fool_a_terminal_is_taken_out(line, shown):
    assert sanitized(line) == shown


@given(st.text())
def test_no_control_character_but_tab_is_left(line):
    shown = sanitized(line)
    assert all(character == "\t" or not 0x00 <= ord(character) < 0x20 for character in shown)
    assert not any(0x7F <= ord(character) < 0xA0 for character in shown)
    assert sanitized(shown) == shown


@pytest.mark.parametrize("opener", ["\x1b]", "\x9d", "\x1b[", "\x9b", "\x1bP", "\x1b", "\x1b[0;"])
def test_a_hostile_line_does_not_take_long(opener):
    """Each opener looks for its end no further than the next one; else this would take minutes."""
    assert "\x1b" not in sanitized(opener * 30_000)
