"""Reports in files, each form by the ending of its name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gameye_async.errors import ConfigurationError
from gameye_async.loadtest.documents import to_hdr_log, to_json
from gameye_async.loadtest.report import LoadReport


def _json(report: LoadReport) -> bytes:
    return f"{to_json(report)}\n".encode()


def _hdr(report: LoadReport) -> bytes:
    return to_hdr_log(report).encode()


_FORMS: Final[Mapping[str, Callable[[LoadReport], bytes]]] = {
    ".json": _json,
    ".hdr": _hdr,
}
ENDINGS: Final = tuple(_FORMS)


def write(report: LoadReport, path: Path) -> None:
    """Write a report in the form that the name ends with.

    Raises:
        ConfigurationError: It ends with something else, or a package of the extra is missing.
        OSError: It cannot be written.
    """
    form = _FORMS.get(path.suffix)
    if form is None:
        raise ConfigurationError(f"{path} must end with one of {', '.join(ENDINGS)}")
    path.write_bytes(form(report))
