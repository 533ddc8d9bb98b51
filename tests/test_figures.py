"""The figures in the README are those of the benchmarks' results."""

from benchmarks import report


def test_the_readme_has_the_figures_of_the_results():
    """`python -m benchmarks.report` writes them."""
    figures = report.BLOCK.findall(report.README.read_text())

    assert figures == [report.readme(report.load())]


def test_the_results_are_not_of_a_quick_run():
    """A quick run is for trying a benchmark, not for telling others."""
    assert not [name for name, one in report.load().items() if one.get("quick")]


def test_every_measure_of_the_readme_was_measured():
    """A measure that is renamed would vanish from the README silently."""
    assert report.TELLING.keys() <= {measure.name for measure in report.measures(report.load())}
