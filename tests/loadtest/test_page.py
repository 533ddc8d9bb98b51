"""The report as a page, as text and in a real browser, and as a picture."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gameye_async.loadtest import LoadReport, Phase, Plan, Shape
from gameye_async.loadtest import run as run_load_test
from gameye_async.loadtest.curves import charts
from gameye_async.loadtest.documents import to_json
from gameye_async.loadtest.page import to_html
from gameye_async.loadtest.picture import to_png
from gameye_async.loadtest.scales import duration, durations, linear, nines
from tests.emulator.browser import CHROMIUM, Tab, browsing
from tests.emulator.test_page import FAINT_TEXT
from tests.loadtest.samples import sample
from tests.loadtest.world import platform
from tests.simulation.loop import run

HOSTILE = (
    """<script>document.title='owned'</script><img src=x onerror="document.title='owned'">'\"&amp;{0}$x$"""
)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
LOADED = "new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', done))"


@pytest.fixture(scope="module")
def report() -> LoadReport:
    return sample()


def empty() -> LoadReport:
    """The report of a test that was ended before anything was due."""

    async def world() -> LoadReport:
        async with platform() as (_, gameye):
            late = Shape([Phase(1, 0), Phase(1, 1)])
            return await run_load_test(Plan("arena", "europe", rate=0.1, duration=2.0, shape=late), gameye)

    return run(world)


@asynccontextmanager
async def shown(report: LoadReport, folder: Path, **look) -> AsyncIterator[Tab]:
    """A browser that shows a report; whatever it wants to fetch is a complaint."""
    report.write(folder / "report.html")
    async with browsing() as tab:
        await tab.look_like(**{"width": 1400, **look})
        await tab.call("Page.navigate", url=(folder / "report.html").as_uri())
        await tab.evaluate(f"{LOADED}.then(() => true)")
        yield tab


class Tags(HTMLParser):
    """Finds whether each tag is closed by its own."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "link", "path", "line"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in {"path", "line"}:
            assert self.open.pop() == tag


def test_the_page_needs_nothing_from_elsewhere(report):
    page = to_html(report)
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,"]
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_every_tag_is_closed(report):
    tags = Tags()
    tags.feed(to_html(report))
    assert tags.open == []


def test_nothing_that_comes_from_outside_is_markup():
    hostile = sample(locations=(HOSTILE, "eu-west"), run=HOSTILE, version=HOSTILE)
    hostile = evolve(
        hostile, plan=evolve(hostile.plan, image=HOSTILE), client=evolve(hostile.client, api=HOSTILE)
    )
    page = to_html(hostile)
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("&lt;script&gt;") >= 5
    assert to_png(hostile).startswith(b"\x89PNG")


def test_the_page_says_what_is_measured_and_what_is_not(report):
    page = to_html(report)
    assert "from the moment at which a launch was due" in page
    assert f"{report.failed:,} launches failed. They have no wait, and are in no percentile." in page
    assert "Not measured: whether the game inside a container was ready" in page
    assert "The schedule was kept: 99 % of launches began at most 0.4 ms after they were due." in page
    assert "nothing left running" in page


def test_a_test_that_was_late_itself_says_so():
    late = sample(seed=1)
    for _ in range(late.lag.count // 10):
        late.lag.add(0.5)
    assert "The test itself was late: 9.0% of launches" in to_html(late)


def test_sessions_that_are_left_are_told(report):
    for left in (3, None):
        dirty = evolve(report, parts=(evolve(report.parts[0], left=left),))
        assert "sessions may be left running" in to_html(dirty)
        assert "nothing left running" not in to_html(dirty)


def test_a_report_with_a_shard_missing_says_so():
    assert "not all shards" in to_html(sample(shard="1/2"))
    both = LoadReport.merge([sample(shard="1/2"), sample(shard="2/2")])
    assert "not all shards" not in to_html(both)
    assert "<td class=text>2/2</td>" in to_html(both)


def test_a_report_of_nothing_can_be_written_too(tmp_path):
    for ending in ("html", "png", "json", "hdr"):
        empty().write(tmp_path / f"empty.{ending}")
        assert (tmp_path / f"empty.{ending}").stat().st_size > 1_000


def test_the_picture_is_a_png_of_a_size_to_read(report):
    picture = to_png(report)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(picture[16:20]) == 1_760
    assert len(picture) > 40_000


def test_the_charts_show_the_numbers_of_the_report(report):
    waiting, rates, percentiles = charts(report)
    p50 = {x: y for stroke in waiting.curves[0].strokes for x, y in stroke}
    assert p50[report.interval / 2] == report.intervals[0].latency.percentiles(50)[0]
    assert [y for _, y in rates.curves[0].strokes[0]][:2] == [report.intervals[0].due / report.interval] * 2
    waited = dict(percentiles.curves[0].strokes[0])
    assert waited[99.0] == report.latency.percentiles(99)[0]
    assert max(waited.values()) <= report.latency.maximum


@given(values=st.lists(st.floats(1e-6, 3_600), min_size=1, max_size=20))
def test_a_logarithmic_axis_holds_its_values_and_has_ticks(values):
    scale = durations(values)
    places = [scale.place(value) for value in sorted(values)]
    assert all(0 <= before <= after <= 1 for before, after in pairwise([*places, 1]))
    assert scale.low <= min(values) * 1.001
    assert scale.high >= max(values) * 0.999
    assert 2 <= len(scale.ticks) <= 12


@given(high=st.floats(0.001, 1e6))
def test_a_linear_axis_has_a_few_round_ticks(high):
    scale = linear(high, lambda value: f"{value:g}")
    assert scale.high >= high * 0.999
    assert 2 <= len(scale.ticks) <= 9
    assert scale.ticks[-1][0] == pytest.approx(scale.high)


def test_each_nine_takes_the_same_room():
    scale = nines(10_000)
    places = [scale.place(percent) for percent in (0, 90, 99, 99.9, 99.99)]
    assert places == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.00041, "0.41 ms"),
        (0.0123, "12.3 ms"),
        (0.25, "250 ms"),
        (1.2345, "1.23 s"),
        (75, "75.00 s"),
    ],
)
def test_times_are_written_to_three_digits(seconds, text):
    assert duration(seconds) == text


@in_browser
async def test_the_page_fetches_nothing_and_complains_of_nothing(report, tmp_path):
    async with shown(report, tmp_path) as tab:
        fetched = await tab.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert [name for name in fetched if not name.startswith("data:")] == []
        assert tab.complaints == []
        assert await tab.evaluate("document.title") == "Load test of my-game"


@in_browser
async def test_the_figures_of_the_page_are_those_of_the_json(report, tmp_path):
    document = json.loads(to_json(report))
    async with shown(report, tmp_path) as tab:
        figures = await tab.evaluate(
            "Object.fromEntries([...document.querySelectorAll('[data-figure]')]"
            ".map((each) => [each.dataset.figure, each.textContent]))"
        )
        rows = await tab.evaluate(
            "[...document.querySelectorAll('.rates tbody tr')]"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
    waits = ("p50", "p90", "p99", "p99.9", "max")
    assert figures == {
        **{f"latency.{name}": duration(document["latency"][name]) for name in waits},
        **{name: f"{document[name]:,}" for name in ("launched", "failed", "throttled")},
    }
    assert [row[1:] for row in rows] == [
        [str(each[name]) for name in ("due", "launched", "failed", "throttled")]
        for each in document["intervals"]
    ]


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
async def test_it_can_be_read_in_every_light_and_at_every_width(scheme, width, tmp_path):
    """Nothing is cut off at the side, text stands out from its ground, and no tick runs into another."""
    long = sample(locations=("eu-west" * 20, "us-east"), run="r" * 80)
    async with shown(long, tmp_path, width=width, scheme=scheme) as tab:
        assert await tab.evaluate("document.documentElement.scrollWidth") == width
        await tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert await tab.evaluate("document.documentElement.scrollWidth") == width
        assert await tab.evaluate(FAINT_TEXT) == []
        assert await tab.evaluate(COLLISIONS) == []


@in_browser
async def test_what_comes_from_outside_does_not_run(tmp_path):
    hostile = sample(locations=(HOSTILE, "eu-west"), run=HOSTILE)
    async with shown(hostile, tmp_path) as tab:
        assert await tab.evaluate("document.title") == "Load test of my-game"
        assert HOSTILE in await tab.evaluate("document.querySelector('.places').textContent")
        assert tab.complaints == []


@in_browser
@pytest.mark.parametrize(("scheme", "ink"), [("light", (179, 37, 107)), ("dark", (255, 133, 184))])
async def test_a_screenshot_shows_the_line_of_p99_across_the_chart(report, tmp_path, scheme, ink):
    async with shown(report, tmp_path, scheme=scheme) as tab:
        box = await tab.evaluate(
            "(({x, y, width, height}) => [x, y, x + width, y + height])"
            "(document.querySelector('.waiting .plot > svg').getBoundingClientRect())"
        )
        picture = Image.open(BytesIO(await tab.screenshot())).convert("RGB").crop(box)
    columns = {
        x for x in range(picture.width) for y in range(picture.height) if picture.getpixel((x, y)) == ink
    }
    assert len(columns) > 0.9 * picture.width


@in_browser
async def test_the_charts_are_drawn(report, tmp_path):
    async with shown(report, tmp_path) as tab:
        lines = await tab.evaluate(
            "[...document.querySelectorAll('.plot path')].map((path) => path.getBBox().width)"
        )
    assert len(lines) == 7
    assert min(lines) > 700


COLLISIONS = """
(() => {
  const found = [];
  for (const plot of document.querySelectorAll(".plot")) {
    const boxes = [...plot.querySelectorAll("text")].filter((text) => text.checkVisibility())
      .map((text) => [text.textContent, text.getBoundingClientRect()]);
    for (const [a, one] of boxes) for (const [b, other] of boxes) {
      const apart = one.left >= other.right || other.left >= one.right
        || one.top >= other.bottom || other.top >= one.bottom;
      if (a < b && !apart) found.push(`${a} and ${b}`);
    }
  }
  return found;
})()
"""
