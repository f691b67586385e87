"""Files become documents; what cannot be read is named and the rest goes on."""

import gzip
import json
from pathlib import Path

import pytest

from models.loading.documents import Document, Problem, SourceError
from models.loading.sources import Source, parse_all


def load(path: Path) -> tuple[list[Document], list[Problem]]:
    found = [each for part in Source.parse(str(path)).parts() for each in part.read()]
    documents = [each for each in found if isinstance(each, Document)]
    return documents, [each for each in found if isinstance(each, Problem)]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_broken_line_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    lines = [
        json.dumps({"slug": "one", "title": "One", "text": "Text."}),
        '{"slug": "two", ',
        "",
        json.dumps({"title": "No slug", "text": "Text."}),
        json.dumps({"slug": "five", "title": "Five"}),
        json.dumps(["a list"]),
        json.dumps({"slug": "seven", "text": "Text.", "visibility": "secret"}),
        json.dumps({"slug": "eight", "title": "Eight", "text": "Text."}),
    ]
    file = write(tmp_path / "articles.jsonl", "\n".join(lines))

    documents, problems = load(file)

    assert [each.slug for each in documents] == ["one", "eight"]
    assert [each.where for each in problems] == [f"{file}:{n}" for n in (2, 4, 5, 6, 7)]
    assert "not JSON" in problems[0].reason
    assert "visibility must be one of" in problems[4].reason


def test_fields_under_all_their_names(tmp_path: Path) -> None:
    row = {
        "id": "a/b",
        "title": " A  title ",
        "description": "What it is about.",
        "product": "fernleaf",
        "topics": ["sync", "sync", " "],
        "locale": "pt-BR",
        "visibility": "agents",
        "url": "https://example.com/a",
        "body_md": "# Heading\n\nText.",
    }
    file = write(tmp_path / "articles.jsonl.gz", gzip.compress(json.dumps(row).encode()))
    ((only,), problems) = load(file)
    assert problems == []
    assert only == Document(
        slug="a/b",
        title="A title",
        body="# Heading\n\nText.",
        summary="What it is about.",
        url="https://example.com/a",
        products=("fernleaf",),
        topics=("sync",),
        language="pt",
        visibility="agents",
    )


@pytest.mark.parametrize(
    ("fields", "audiences"),
    [
        ({}, ("public",)),
        ({"visibility": "agents"}, ("agents",)),
        ({"teams": ["billing", "emea"]}, ("supervisors", "team:billing", "team:emea")),
        ({"team": "billing", "visibility": "teams"}, ("supervisors", "team:billing")),
        ({"teams": ["billing"], "visibility": "public"}, "teams must be named where"),
        ({"visibility": "teams"}, "teams must be named where"),
        ({"teams": ["B!"]}, "a team is named with small letters"),
    ],
)
def test_who_may_read_it(tmp_path: Path, fields: dict[str, object], audiences: tuple[str, ...] | str) -> None:
    row = {"slug": "a", "text": "Text.", **fields}
    documents, problems = load(write(tmp_path / "articles.jsonl", json.dumps(row)))
    if isinstance(audiences, str):
        assert audiences in problems[0].reason
    else:
        assert documents[0].audiences == audiences


def test_html_keeps_headings_tables_and_code_and_loses_scripts(tmp_path: Path) -> None:
    page = """<html lang="de-AT"><head><title>Ignored</title><script>evil()</script></head><body>
    <nav>Home</nav><main><h1>Sync</h1><p>See <a href="x">this</a>.</p>
    <table><tr><th>Code</th><th>Meaning</th></tr><tr><td>FL-1</td><td>Bad</td></tr></table>
    <pre><code>fernleaf sync now</code></pre></main></body></html>"""
    ((only,), _) = load(write(tmp_path / "page.html", page))
    assert (only.slug, only.title, only.language) == ("page", "Sync", "de")
    assert "# Sync" in only.body
    assert "| FL-1 | Bad |" in only.body
    assert "fernleaf sync now" in only.body
    assert "evil" not in only.body
    assert "Home" not in only.body


def test_markdown_front_matter_headings_and_file_names_give_the_title(tmp_path: Path) -> None:
    write(
        tmp_path / "kb" / "a.md", "---\ntitle: From matter\ntopics: [x]\nvisibility: customers\n---\n\nText."
    )
    write(tmp_path / "kb" / "deep" / "b.md", "# From heading\n\nText.")
    write(tmp_path / "kb" / "my-file.txt", "Just text.")
    write(tmp_path / "kb" / ".git" / "c.md", "hidden")
    write(tmp_path / "kb" / "image.png", b"\x89PNG")

    documents, problems = load(tmp_path / "kb")

    assert problems == []
    assert [(each.slug, each.title) for each in documents] == [
        ("a", "From matter"),
        ("deep/b", "From heading"),
        ("my-file", "my file"),
    ]
    assert documents[0].visibility == "customers"


def test_other_encodings_are_found_out(tmp_path: Path) -> None:
    text = "Die Schlüssel für größere Geräte müssen zuerst geändert werden, sagt Frau Müller." * 3
    ((only,), _) = load(write(tmp_path / "latin.txt", text.encode("cp1252")))
    assert "größere Geräte" in only.body
    ((wide,), _) = load(write(tmp_path / "wide.txt", text.encode("utf-16")))
    assert "größere Geräte" in wide.body


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("bad.md", "---\ntitle: [\n---\nText.", "front matter is not YAML"),
        ("empty.md", "", "is empty"),
        ("binary.txt", bytes(range(256)) * 4, "not a text file"),
        ("cut.jsonl.gz", gzip.compress(b'{"slug": "a"}' * 99)[:20], ""),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, content: str | bytes, reason: str) -> None:
    write(tmp_path / "kb" / name, content)
    write(tmp_path / "kb" / "good.md", "Text.")
    documents, problems = load(tmp_path / "kb")
    assert [each.slug for each in documents] == ["good"]
    assert len(problems) == 1
    assert name in problems[0].where
    assert reason in problems[0].reason


def test_a_source_that_is_missing_or_empty_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        Source.parse(str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match="no file to index"):
        Source.parse(str(tmp_path)).parts()
    with pytest.raises(SourceError, match="not one of the kinds"):
        Source.parse(str(write(tmp_path / "a.exe", "x"))).parts()


def test_a_source_keeps_its_key_when_it_moves(tmp_path: Path) -> None:
    here, there = (write(tmp_path / place / "kb" / "a.md", "Text.").parent for place in ("here", "there"))
    assert Source.parse(str(here)).key == Source.parse(str(there)).key == "kb"
    with pytest.raises(SourceError, match="share the name 'kb'"):
        parse_all([str(here), str(there)])
    assert [each.key for each in parse_all([str(here), f"other={there}"])] == ["kb", "other"]
