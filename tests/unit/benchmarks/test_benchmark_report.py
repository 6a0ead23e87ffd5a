"""The figures in the documents are those of the result files."""

from benchmarks import report


def test_the_performance_page_shows_the_result_files() -> None:
    """`python -m benchmarks.report` has been run since the results changed."""
    text = report.PAGE.read_text()
    assert report.page(text, report.read()) == text
