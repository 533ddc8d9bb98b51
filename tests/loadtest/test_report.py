"""Reports: merging and the forms without pictures."""

import json
from datetime import UTC, datetime

import pytest
from attrs import evolve
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from gameye_async import ConfigurationError
from gameye_async.loadtest import Histogram, LoadReport, Plan
from gameye_async.loadtest.documents import SCHEMA, from_hdr_log, from_json, read, to_hdr_log, to_json
from tests.loadtest.samples import sample

seconds = st.lists(st.floats(0.0, 4_000.0), max_size=50)


def histogram(values, digits=3):
    found = Histogram() if digits == 3 else Histogram.rough()
    for value in values:
        found.add(value)
    return found


@given(values=seconds, others=seconds, digits=st.sampled_from([2, 3]))
def test_merged_histograms_are_what_one_would_have_been(values, others, digits):
    merged = Histogram.merged([histogram(values, digits), histogram(others, digits)])
    assert merged == histogram(values + others, digits)
    assert merged.count == len(values) + len(others)


@given(values=seconds, digits=st.sampled_from([2, 3]))
def test_an_encoded_histogram_comes_back_as_it_was(values, digits):
    whole = histogram(values, digits)
    again = Histogram.decode(whole.encode())
    percents = (0.1, 50, 90, 99, 99.9, 100)
    assert again == whole
    assert again.percentiles(*percents) == whole.percentiles(*percents)
    assert (again.mean, again.maximum) == (whole.mean, whole.maximum)


def test_percentiles_are_right_to_three_digits():
    whole = histogram([number / 1_000 for number in range(1, 10_001)])
    assert whole.percentiles(50, 90, 99) == pytest.approx([5.0, 9.0, 9.9], rel=0.001)
    assert whole.mean == pytest.approx(5.0, rel=0.001)


def test_an_empty_histogram_has_no_percentiles():
    assert Histogram().percentiles(50, 99) == [None, None]
    assert (Histogram().mean, Histogram().maximum) == (None, None)


def test_the_share_above_a_time_is_told():
    whole = histogram([0.001] * 90 + [0.02] * 10)
    assert whole.share_above(0.01) == pytest.approx(0.1)
    assert (whole.share_above(0.05), Histogram().share_above(0.01)) == (0.0, 0.0)


@pytest.mark.parametrize(("count", "told"), [(0, []), (9, [50]), (10, [50, 90]), (1_000, [50, 90, 99, 99.9])])
def test_a_percentile_is_told_only_if_something_lies_beyond_it(count, told):
    assert histogram([0.001] * count).tellable((50, 90, 99, 99.9)) == told


@pytest.mark.parametrize("text", ["", "HISTF", "no histogram", "HISTFAAAACh42pNpmSzMwMDAxMDAwAyiAFEbBGM="])
def test_what_is_no_histogram_is_refused(text):
    with pytest.raises(ConfigurationError):
        Histogram.decode(text)


def shards(count=2):
    return [sample(shard=f"{index}/{count}", offset=index / 100) for index in range(1, count + 1)]


def test_nothing_is_lost_when_shards_are_merged():
    one, other = shards()
    merged = LoadReport.merge([one, other])
    for name in ("due", "launched", "adopted", "abandoned", "throttled", "stopped", "peak", "failed"):
        assert getattr(merged, name) == getattr(one, name) + getattr(other, name)
    for name in ("latency", "service", "lag"):
        assert getattr(merged, name) == Histogram.merged([getattr(one, name), getattr(other, name)])
    assert [interval.due for interval in merged.intervals] == [
        a.due + b.due for a, b in zip(one.intervals, other.intervals, strict=True)
    ]
    assert [place.launched for place in merged.places] == [
        a.launched + b.launched for a, b in zip(one.places, other.places, strict=True)
    ]
    assert merged.session_seconds == one.session_seconds + other.session_seconds
    assert [str(part.shard) for part in merged.parts] == ["1/2", "2/2"]
    assert merged.is_whole
    assert not one.is_whole


def test_the_order_of_merging_does_not_matter():
    one, two, three = shards(3)
    assert (
        LoadReport.merge([LoadReport.merge([three, one]), two]).parts
        == LoadReport.merge([one, two, three]).parts
    )
    assert (
        LoadReport.merge([LoadReport.merge([three, one]), two]).latency
        == LoadReport.merge([one, two, three]).latency
    )


def test_a_merged_report_is_clean_only_when_every_part_is():
    one, other = shards()
    dirty = evolve(other, parts=(evolve(other.parts[0], left=2),))
    assert LoadReport.merge([one, other]).is_clean
    assert not LoadReport.merge([one, dirty]).is_clean


@pytest.mark.parametrize(
    ("reports", "complaint"),
    [
        ([], "there is no report to merge"),
        ([sample(shard="1/2"), sample(shard="1/2")], "shard 1/2 is there 2 times"),
        ([sample(shard="1/2"), sample(shard="2/3")], "reports of different plans cannot be merged"),
        ([sample(shard="1/2"), sample(shard="2/2", rate=7)], "reports of different plans cannot be merged"),
    ],
)
def test_what_does_not_belong_together_is_not_merged(reports, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        LoadReport.merge(reports)


@pytest.mark.parametrize("report", [sample(), LoadReport.merge(shards())], ids=["one", "merged"])
def test_documents_come_back_as_the_report_they_were(report):
    assert from_json(to_json(report)) == report
    assert from_hdr_log(to_hdr_log(report)) == report


def test_the_json_says_what_it_is_and_holds_numbers_for_everybody():
    report = sample()
    document = json.loads(to_json(report))
    assert document["schema"] == SCHEMA
    assert document["latency"]["count"] == report.latency.count == report.launched
    assert document["latency"]["p99"] == report.latency.percentiles(99)[0]
    assert document["plan"]["shard"] == "1/1"
    assert document["parts"][0]["began"] == "2030-01-01T12:00:00+00:00"
    assert (document["failed"], document["is_clean"]) == (report.failed, True)
    assert "\n" not in to_json(report)


def test_the_values_of_env_are_in_no_document():
    report = sample(env={"KEY": "s3cret"})
    assert "s3cret" not in to_json(report) + to_hdr_log(report) + repr(report)
    assert from_json(to_json(report)).plan.env == {}


def test_the_hdr_file_is_one_that_other_tools_read(tmp_path):
    report = sample()
    report.write(tmp_path / "a.hdr")
    reader = HistogramLogReader(str(tmp_path / "a.hdr"), HdrHistogram(1, 3_600_000_000, 2))
    total = 0
    while (interval := reader.get_next_interval_histogram()) is not None:
        total += interval.total_count
    reader.input_file.close()
    assert total == report.launched
    assert reader.get_start_time_sec() == datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("name", ["a.json", "a.hdr"])
def test_a_file_that_was_written_is_read_again(tmp_path, name):
    sample().write(tmp_path / name)
    assert read(tmp_path / name) == sample()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not JSON"),
        (b"[]", "not a load report of the schema"),
        (b'{"schema": "other"}', "not a load report of the schema"),
        (b'{"schema": "gameye-async/load-report/1"}', "not a load report: "),
        (b"#[Histogram log format version 1.2]\n", "no load report in it"),
        (b"#[GameyeLoadReport] {", "not JSON"),
        (b"\xff\xfe", "cannot read"),
    ],
)
def test_a_file_that_holds_something_else_is_told(tmp_path, content, complaint):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_name_must_say_what_is_to_be_written(tmp_path):
    with pytest.raises(ConfigurationError, match="must end with one of"):
        sample().write(tmp_path / "report.pdf")


def test_a_plan_of_a_document_is_the_plan():
    report = sample(arrivals="constant", max_cost=3.0, price_per_hour=1.0)
    assert isinstance(from_json(to_json(report)).plan, Plan)
    assert from_json(to_json(report)).plan == report.plan
