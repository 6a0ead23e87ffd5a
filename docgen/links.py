"""Checks of a built site: links that lead nowhere, and anything loaded from another host."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

LOADS: Final = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}
"""Elements that a browser loads by itself, with the attribute that says from where."""


class _Page(HTMLParser):
    """The anchors a page has, the places it links to, and those it loads from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.diagrams = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element adds."""
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if found.get(LOADS.get(tag, "")) and found.get("rel") != "canonical":
            self.loads.append(found[LOADS[tag]])
        self.diagrams += "mermaid" in found.get("class", "").split()


def problems(site: Path) -> Iterator[str]:
    """One line each; none where every link, image, style and script is in `site` itself."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.glob("**/*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        if name == Path("404.html"):  # its links are from the root of a host, wherever it is shown
            continue
        if page.diagrams:
            yield f"{name}: a mermaid diagram, which browsers would draw by a script from another host; use an SVG"
        for link in page.loads:
            if urlsplit(link).netloc:
                yield f"{name}: loads {link}"
        for link in [*page.links, *page.loads]:
            if not _leads_somewhere(link, path, pages):
                yield f"{name}: {link} leads nowhere"


def _leads_somewhere(link: str, path: Path, pages: dict[Path, _Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return False
    return not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].anchors
