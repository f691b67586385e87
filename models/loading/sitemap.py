"""The sitemap of a site that was mirrored to this disk (`wget --mirror`): its pages, with their URLs."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from models.loading.documents import Document, Problem
from models.loading.fields import BadField
from models.loading.limits import Limits, TooMuch

PageReader = Callable[[Path, str, Limits], Iterator[Document | Problem]]


def read(path: Path, limits: Limits, reader: PageReader) -> Iterator[Document | Problem]:
    """The documents of all pages that the sitemap at `path` names; those not on this disk are problems."""
    yield from _read(path, path.parent.resolve(), limits, reader)


def _read(path: Path, root: Path, limits: Limits, reader: PageReader) -> Iterator[Document | Problem]:
    tree = _parsed(path, limits)
    urls = [(each.text or "").strip() for each in tree.iter() if _name(each) == "loc"]
    if len(urls) > limits.documents:
        raise TooMuch(f"names {len(urls):,} pages; {limits.documents:,} are taken at most")
    if _name(tree) not in {"urlset", "sitemapindex"}:
        raise BadField("is no sitemap")
    for url in urls:
        file = mirrored(url, root)
        if file is None:
            yield Problem(f"{path}: {url}", "is not in this mirror")
        elif _name(tree) == "urlset":
            slug = unquote(urlsplit(url).path).strip("/") or "index"
            for found in reader(file, slug, limits):
                yield replace(found, url=found.url or url) if isinstance(found, Document) else found
        elif limits.nesting < 1:
            raise TooMuch("is a sitemap of sitemaps of sitemaps")
        else:
            yield from _read(file, root, replace(limits, nesting=limits.nesting - 1), reader)


def mirrored(url: str, root: Path) -> Path | None:
    """The file that a mirror keeps for `url`, with or without a folder for the host; never outside `root`."""
    parts = urlsplit(url)
    path = unquote(parts.path).strip("/")
    for base in (root / parts.netloc, root):
        for name in (path, f"{path}.html", f"{path}/index.html"):
            file = (base / name).resolve()
            if file.is_file() and file.is_relative_to(root):
                return file
    return None


def _parsed(path: Path, limits: Limits) -> Element:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rb") as file:
        content = file.read(limits.size + 1)
    if len(content) > limits.size:
        raise TooMuch(f"is larger than {limits.size:,} bytes")
    parser = XMLParser(target=_Plain())  # noqa: S314  # without a document type there are no entities
    try:
        parser.feed(content)
        tree: Element = parser.close()
    except ParseError as error:
        raise BadField(f"is no XML: {error}") from error
    return tree


class _Plain(TreeBuilder):
    def doctype(self, *_: str | None) -> None:
        """Where a document type is, entities may be that unfold to gigabytes; a sitemap needs none."""
        raise BadField("has a document type, which no sitemap needs")


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
