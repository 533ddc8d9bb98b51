"""Reports in files, each form by the ending of its name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gameye_async.errors import ConfigurationError
from gameye_async.loadtest.documents import to_hdr_log, to_json
from gameye_async.loadtest.histogram import hdr_module
from gameye_async.loadtest.page import to_html
from gameye_async.loadtest.picture import plotting_module, to_png
from gameye_async.loadtest.report import LoadReport


def _json(report: LoadReport) -> bytes:
    return f"{to_json(report)}\n".encode()


def _hdr(report: LoadReport) -> bytes:
    return to_hdr_log(report).encode()


def _html(report: LoadReport) -> bytes:
    return to_html(report).encode()


_FORMS: Final[Mapping[str, Callable[[LoadReport], bytes]]] = {
    ".json": _json,
    ".hdr": _hdr,
    ".html": _html,
    ".png": to_png,
}
ENDINGS: Final = tuple(_FORMS)


def check(path: Path) -> None:
    """Find out whether a report could be written there.

    Raises:
        ConfigurationError: It could not.
    """
    if path.suffix not in _FORMS:
        raise ConfigurationError(f"{path} must end with one of {', '.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"there is no directory {path.parent}")
    hdr_module()
    if path.suffix == ".png":
        plotting_module()


def write(report: LoadReport, path: Path) -> None:
    """Write a report in the form that the name ends with.

    Raises:
        ConfigurationError: It ends with something else, or a package of the extra is missing.
        OSError: It cannot be written.
    """
    check(path)
    path.write_bytes(_FORMS[path.suffix](report))
