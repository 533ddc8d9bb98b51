"""A report as one HTML file that needs nothing else: no script, no font, no request."""

from gameye_async.loadtest.page.render import to_html

__all__ = ["to_html"]
