"""Reports as JSON, and as HDR histogram logs that hold the same JSON in a comment."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from cattrs import transform_error
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.json import JsonConverter, make_converter

from gameye_async.errors import ConfigurationError
from gameye_async.loadtest.histogram import Histogram, percentile_name
from gameye_async.loadtest.plan import Plan, Shard
from gameye_async.loadtest.report import LoadReport

SCHEMA: Final = "gameye-async/load-report/1"
PERCENTS: Final = (50.0, 90.0, 99.0, 99.9, 99.99)
_COMMENT: Final = "#[GameyeLoadReport] "


def to_json(report: LoadReport) -> str:
    """A report as a JSON document, one line of text; `from_json` reads it without loss.

    The values of `env` are left out. What is derived from other fields is there for other readers.
    """
    document = cast("dict[str, Any]", _CONVERTER.unstructure(report))
    derived = {"failed": report.failed, "cost": report.cost, "is_clean": report.is_clean}
    return json.dumps({"schema": SCHEMA, **document, **derived})


def from_json(text: str) -> LoadReport:
    """The report of a JSON document.

    Raises:
        ConfigurationError: It is none, or one of another version.
    """
    try:
        document = json.loads(text)
    except ValueError:
        raise ConfigurationError("not JSON") from None
    schema = cast("dict[str, Any]", document).get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise ConfigurationError(f"not a load report of the schema {SCHEMA}")
    try:
        return _CONVERTER.structure(document, LoadReport)
    except Exception as error:  # noqa: BLE001  -- of whatever kind, it is about the document
        raise ConfigurationError(f"not a load report: {'; '.join(transform_error(error)[:3])}") from None


def to_hdr_log(report: LoadReport) -> str:
    """A report as an HDR histogram log (format 1.2): what its tools need, and the rest as a comment.

    The lines hold the latency of each interval, in microseconds; their maximum is in seconds.
    """
    lines = [
        "#[Histogram log format version 1.2]",
        f"#[StartTime: {report.parts[0].began.timestamp():.3f} (seconds since epoch)]",
        f"{_COMMENT}{to_json(report)}",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for each in report.intervals:
        longest = each.latency.maximum or 0.0
        lines.append(f"{each.begin:.3f},{report.interval:.3f},{longest:.6f},{each.latency.encode()}")
    return "\n".join((*lines, ""))


def from_hdr_log(text: str) -> LoadReport:
    """The report in an HDR histogram log that this package wrote.

    Raises:
        ConfigurationError: There is none in it.
    """
    for line in text.splitlines():
        if line.startswith(_COMMENT):
            return from_json(line.removeprefix(_COMMENT))
    raise ConfigurationError("no load report in it")


def read(path: Path) -> LoadReport:
    """The report in a file, JSON or an HDR histogram log.

    Raises:
        ConfigurationError: It cannot be read, or holds something else.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"cannot read {path}: it is not text") from None
    try:
        return from_hdr_log(text) if text.startswith("#") else from_json(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _histogram(histogram: Histogram) -> dict[str, Any]:
    found = zip(PERCENTS, histogram.percentiles(*PERCENTS), strict=True)
    return {
        "count": histogram.count,
        "mean": histogram.mean,
        "max": histogram.maximum,
        **{percentile_name(percent): value for percent, value in found},
        "hdr": histogram.encode(),
    }


def _decoded(value: Mapping[str, Any], _: object) -> Histogram:
    return Histogram.decode(value["hdr"])


def _new_converter() -> JsonConverter:
    converter = make_converter()
    converter.register_unstructure_hook(Histogram, _histogram)
    converter.register_structure_hook(Histogram, _decoded)
    converter.register_unstructure_hook(Shard, str)
    converter.register_structure_hook(Shard, lambda value, _: Shard.parse(value))
    # It may hold secrets.
    hidden = override(omit=True)
    converter.register_unstructure_hook(Plan, make_dict_unstructure_fn(Plan, converter, env=hidden))
    converter.register_structure_hook(Plan, make_dict_structure_fn(Plan, converter, env=hidden))
    return converter


_CONVERTER: Final = _new_converter()
