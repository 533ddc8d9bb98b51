"""Settings that cannot work are refused at once, and a token never shows itself."""

import copy
import pickle

import pytest
from yarl import URL

from gameye_async import AsyncGameye, ConfigurationError, Environment, Pacing, RetryPolicy, Timeouts
from gameye_async.settings import Token, find_base_url, find_token

SECRET = "s3cret-canary"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("GAMEYE_API_TOKEN", raising=False)
    monkeypatch.delenv("GAMEYE_API_URL", raising=False)


@pytest.mark.parametrize(
    "token",
    [
        "",
        " ",
        f"{SECRET}\n",
        f"{SECRET}\r\nX-Evil: 1",
        f" {SECRET}",
        f"Bearer {SECRET}",
        f"{SECRET}\x00",
        f"{SECRET}\xe9",
    ],
)
def test_text_that_cannot_be_a_token_is_refused_without_quoting_it(token):
    with pytest.raises(ConfigurationError, match="token") as caught:
        AsyncGameye(token)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("token", [7, b"bytes"])
def test_a_token_is_text_or_a_callable(token):
    with pytest.raises(ConfigurationError, match="token"):
        AsyncGameye(token)


def test_without_a_token_the_error_says_where_to_get_one():
    with pytest.raises(ConfigurationError, match=r"GAMEYE_API_TOKEN.*admin panel"):
        AsyncGameye()


async def test_a_token_comes_from_the_environment_unless_it_is_given(monkeypatch):
    monkeypatch.setenv("GAMEYE_API_TOKEN", SECRET)
    assert await find_token(None).credential() == f"Bearer {SECRET}"
    assert await find_token("given").credential() == "Bearer given"


async def test_a_token_callable_is_asked_each_time():
    tokens = iter(["first", "second"])

    async def rotate() -> str:
        return next(tokens)

    token = Token(rotate)
    assert [await token.credential(), await token.credential()] == ["Bearer first", "Bearer second"]


async def test_the_fingerprint_of_a_token_names_its_account_and_does_not_tell_the_token():
    async def rotate() -> str:
        return SECRET

    fingerprint = await Token(SECRET).fingerprint()
    assert fingerprint == await Token(rotate).fingerprint()
    assert fingerprint != await Token(f"{SECRET}-2").fingerprint()
    assert SECRET not in fingerprint


@pytest.mark.parametrize("given", ["", f"{SECRET}\n", None, 7])
async def test_a_token_callable_that_gives_none_is_a_configuration_error(given):
    async def rotate() -> str:
        return given

    with pytest.raises(ConfigurationError, match="token"):
        await Token(rotate).credential()


def test_a_token_never_shows_itself():
    token = Token(SECRET)
    for text in (repr(token), str(token), f"{token}", f"{token!r}", repr([token]), repr({token})):
        assert SECRET not in text


async def test_a_credential_stays_out_of_reprs():
    credential = await Token(SECRET).credential()
    for text in (
        repr(credential),
        f"{credential!r}",
        repr([credential]),
        repr({"Authorization": credential}),
    ):
        assert SECRET not in text
    assert credential == f"Bearer {SECRET}"


async def test_a_secret_does_not_pickle():
    for secret in (Token(SECRET), await Token(SECRET).credential()):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="pickle"):
                pickle.dumps(secret, protocol)


def test_a_token_is_not_copied_by_accident():
    with pytest.raises(TypeError, match="pickle"):
        copy.deepcopy(Token(SECRET))


def test_the_repr_of_a_client_says_where_it_talks_to_and_nothing_else():
    assert repr(AsyncGameye(SECRET)) == "<AsyncGameye https://api.gameye.io not entered>"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.gameye.io", "https://api.gameye.io"),
        ("https://api.gameye.io/", "https://api.gameye.io"),
        ("HTTPS://API.Gameye.IO:8443", "https://api.gameye.io:8443"),
        (URL("https://api.gameye.io"), "https://api.gameye.io"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
    ],
)
def test_an_origin_over_https_or_on_loopback_is_accepted(url, origin):
    assert str(find_base_url(url, None)) == origin


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{SECRET}@api.gameye.io",
        f"https://{SECRET}@api.gameye.io",
        f"https://:{SECRET}@api.gameye.io",
        f"https://user:{SECRET}@api.gameye.io:99999",
        f"https://user:{SECRET}@[api",
        f"http://user:{SECRET}@127.0.0.1",
        f"https://api.gameye.io?token={SECRET}",
        f"https://api.gameye.io/#{SECRET}",
    ],
)
def test_a_secret_in_a_base_url_is_refused_and_not_quoted(url):
    with pytest.raises(ConfigurationError) as caught:
        find_base_url(url, None)
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    [
        "api.gameye.io",
        "//api.gameye.io",
        "https://",
        "ftp://api.gameye.io",
        "file:///etc/passwd",
        "https://api.gameye.io/v1",
        "https://api.gameye.io?",
        "https://api.gameye.io#",
        "https://api.gameye.io:99999",
        "http://api.gameye.io",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://203.0.113.1",
        "http://0.0.0.0",
        f"https://{'a' * 64}.example.com",
        "https://a..example.com",
    ],
)
def test_a_base_url_that_cannot_work_is_refused(url):
    with pytest.raises(ConfigurationError, match="base URL"):
        find_base_url(url, None)


def test_an_empty_base_url_does_not_quietly_mean_production():
    with pytest.raises(ConfigurationError, match="base URL"):
        AsyncGameye(SECRET, base_url="")


def test_the_base_url_is_the_argument_else_the_environments_else_production(monkeypatch):
    assert find_base_url(None, None) == URL("https://api.gameye.io")
    assert find_base_url(None, Environment.SANDBOX) == URL("https://api.sandbox-gameye.gameye.net")
    monkeypatch.setenv("GAMEYE_API_URL", "http://127.0.0.1:8080")
    assert find_base_url(None, None) == URL("http://127.0.0.1:8080")
    assert find_base_url(None, Environment.PRODUCTION) == URL("https://api.gameye.io")
    assert find_base_url("https://api.example.net", None) == URL("https://api.example.net")


def test_two_ways_to_say_where_the_api_is_are_one_too_many():
    with pytest.raises(ConfigurationError, match="not both"):
        AsyncGameye(SECRET, base_url="https://api.example.net", environment=Environment.SANDBOX)


@pytest.mark.parametrize(
    ("settings", "field", "value"),
    [
        (Timeouts, "deadline", 0),
        (Timeouts, "connect", -1.0),
        (Timeouts, "attempt", float("nan")),
        (Timeouts, "close", -0.1),
        (RetryPolicy, "attempts", 0),
        (RetryPolicy, "base", 0.0),
        (RetryPolicy, "settle", -1.0),
        (RetryPolicy, "budget_cost", float("nan")),
        (Pacing, "decrease", 1.0),
        (Pacing, "decrease", 0.0),
        (Pacing, "floor", 0.0),
        (Pacing, "gate_after", 0),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(settings, field, value):
    with pytest.raises(ConfigurationError, match=field):
        settings(**{field: value})


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"control_concurrency": 0}, "control_concurrency"),
        ({"default_ttl": "30s"}, "ttl"),
        ({"ssl": False}, "ssl"),
        ({"ssl": True}, "ssl"),
        ({"user_agent": "game\r\nX-Evil: 1"}, "user_agent"),
        ({"proxy": "nonsense"}, "proxy"),
    ],
)
def test_an_argument_that_cannot_work_is_refused_when_the_client_is_made(arguments, named):
    with pytest.raises(ConfigurationError, match=named):
        AsyncGameye(SECRET, **arguments)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer other"},
        {"authorization": "Bearer other"},
        {"Authorization ": "Bearer other"},
        {"Host": "api.example.net"},
        {"Content-Length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"X-Match": "1\r\nX-Evil: 1"},
        {"X-Match\r\nX-Evil": "1"},
        {"X Match": "1"},
        {"X-Match:": "1"},
        {"": "1"},
        {"X-M\xe4tch": "1"},
        {"X-Match": 7},
    ],
)
def test_a_header_that_is_the_clients_own_or_not_one_line_is_refused(headers):
    with pytest.raises(ConfigurationError, match="header"):
        AsyncGameye(SECRET).with_options(headers=headers)
