"""A machine without an engine skips its tests, and CI does not."""

import pytest

from tests.worker.engines import command


def test_an_engine_that_is_not_installed_is_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch):
    """With what to do about it."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install no-such-server"):
        command("no-such-server")


def test_in_ci_it_is_a_failure(monkeypatch: pytest.MonkeyPatch):
    """Or nobody would notice that its tests never run."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install no-such-server"):
        command("no-such-server")
