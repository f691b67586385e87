"""HTML as Markdown: headings, lists, tables and code survive, navigation and scripts do not."""

from collections.abc import Iterable, Iterator

from bs4 import BeautifulSoup
from markdownify import MarkdownConverter

NOISE = (
    "script",
    "style",
    "noscript",
    "template",
    "nav",
    "header",
    "footer",
    "aside",
    "form",
    "svg",
    "iframe",
)

CONTENTS = "#toc, .toc, .table-of-contents, [role=navigation]"


def to_markdown(html: str) -> str:
    return _markdown(BeautifulSoup(html, "html.parser"))


def page(html: str) -> tuple[str, str]:
    """Title and Markdown of a whole page; the title is empty where the page has none."""
    soup = BeautifulSoup(html, "html.parser")
    heading = soup.find("h1") or soup.title
    title = heading.get_text(" ", strip=True) if heading else ""
    return title, _markdown(soup)


def language(html: str) -> str | None:
    """What `<html lang>` says."""
    root = BeautifulSoup(html, "html.parser").find("html")
    value = root.get("lang") if root else None
    return value if isinstance(value, str) and value else None


def _markdown(soup: BeautifulSoup) -> str:
    for noise in [*soup(NOISE), *soup.select(CONTENTS)]:
        noise.decompose()
    content = soup.find("main") or soup.find("article") or soup.body or soup
    converted = MarkdownConverter(heading_style="ATX", bullets="-", escape_misc=False).convert_soup(content)
    lines = (line.rstrip() for line in converted.replace("\0", "").splitlines())
    return "\n".join(_single_blanks(lines)).strip()


def _single_blanks(lines: Iterable[str]) -> Iterator[str]:
    blank = False
    for line in lines:
        if line or not blank:
            yield line
        blank = not line
