"""The documented table of failures is what happens, on either way through aiohttp."""

import pytest

from tests.reliability.table import DOCUMENT, render


@pytest.mark.parametrize("borrowed", [False, True], ids=["own pool", "borrowed session"])
async def test_the_table_of_failures_is_up_to_date(borrowed):
    table = await render(borrowed=borrowed)
    assert table == DOCUMENT.read_text(), "run `python -m tests.reliability.table` and read the difference"
