"""The documentation site is built of the documents as they are, and a broken link fails the build."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from docgen import links
from docgen.stage import ROOT, SITE

PAGE: Final = "<!doctype html><body><h1 id='top'>A</h1>{}</body>"


@pytest.mark.slow
def test_the_site_builds_and_every_link_in_it_leads_somewhere() -> None:
    """`make docs`, and the pages that the navigation names are there."""
    done = subprocess.run(
        [sys.executable, "-m", "docgen", "build"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    names = re.findall(r"([\w./-]+)\.md", navigation)
    assert len(names) > 20
    for name in names:
        folder = SITE / (name.removesuffix("README") if name.endswith("README") else name)
        assert (folder / "index.html").is_file(), name


def test_every_page_of_docs_is_in_the_navigation_or_in_an_index() -> None:
    """None can be reached by search alone."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    indexes = list(ROOT.glob("docs/*/README.md"))
    linked = {
        (index.parent / link).resolve().relative_to(ROOT).as_posix()
        for index in indexes
        for link in re.findall(r"(?:\]\(|\]: )([\w./-]+\.md)", index.read_text(encoding="utf-8"))
    }
    pages = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert {page for page in pages if page not in navigation} - linked == set()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<a href='there/'>x</a>", "index.html: there/ leads nowhere"),
        ("<a href='b/#nope'>x</a>", "index.html: b/#nope leads nowhere"),
        ("<a href='#nope'>x</a>", "index.html: #nope leads nowhere"),
        ("<img src='x.svg'>", "index.html: x.svg leads nowhere"),
        ("<script src='https://host.example/x.js'></script>", "index.html: loads https://host.example/x.js"),
        (
            "<pre class='mermaid'>graph</pre>",
            "index.html: a mermaid diagram, which browsers would draw by a script from another host; use an SVG",
        ),
    ],
)
def test_what_is_wrong_with_a_site_is_found(body: str, problem: str, tmp_path: Path) -> None:
    """A dead link, a missing anchor or file, anything from another host."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "index.html").write_text(PAGE.format("<a href='../#top'>up</a>"), encoding="utf-8")
    (tmp_path / "index.html").write_text(PAGE.format(body), encoding="utf-8")
    assert list(links.problems(tmp_path)) == [problem]


def test_links_that_lead_somewhere_are_no_problem(tmp_path: Path) -> None:
    """To a page, its anchor, a file, another host."""
    body = "<a href='b/#top'>1</a><a href='b'>2</a><a href='x.yaml'>3</a><a href='https://host.example/'>4</a>"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "index.html").write_text(PAGE.format("<a href='#top'>up</a>"), encoding="utf-8")
    (tmp_path / "x.yaml").write_text("a: 1\n", encoding="utf-8")
    (tmp_path / "index.html").write_text(PAGE.format(body), encoding="utf-8")
    assert list(links.problems(tmp_path)) == []
