"""PDF, Word, CSV, archives, sitemaps: what is read of them, and what they may not do to us."""

import io
import json
import os
import time
import zipfile
from pathlib import Path

import pytest

from models.loading import files, isolated
from models.loading.documents import Document, Problem
from models.loading.limits import Limits
from tests.unit.pages import docx, pdf
from tests.unit.test_loading import load, write


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_pdf_keeps_headings_paragraphs_and_tables(tmp_path: Path) -> None:
    file = write(tmp_path / "guide.pdf", pdf())
    ((only,), problems) = load(file)
    assert problems == []
    assert only.title == "Sync guide"
    assert "# Sync guide" in only.body
    assert "## Error codes" in only.body
    assert "Two devices changed the same paragraph while one of them was offline." in only.body
    assert "| FL-204 | The storage is full |" in only.body
    assert only.body.index("Error codes") < only.body.index("FL-204") < only.body.index("After the table")
    assert "Page 1 of 3" not in only.body
    assert "Fernleaf confidential" not in only.body


def test_a_word_document_keeps_headings_lists_and_tables(tmp_path: Path) -> None:
    ((only,), problems) = load(write(tmp_path / "guide.docx", docx()))
    assert problems == []
    assert only.title == "Sync guide"
    assert "## Error codes" in only.body
    assert "| FL-204 | The storage is full |" in only.body


def test_rows_of_a_csv_are_documents_where_they_have_a_body(tmp_path: Path) -> None:
    content = "Question;Answer;Topics\nHow do I sync?;Press sync.;sync;\n;;\nNo answer;;\n".encode("cp1252")
    documents, problems = load(write(tmp_path / "faq.csv", content))
    assert [(each.title, each.body) for each in documents] == [("How do I sync?", "Press sync.")]
    assert documents[0].slug == "faq/2"
    assert problems[0].where.endswith("faq.csv:4")
    ((table,), _) = load(write(tmp_path / "codes.tsv", "Code\tMeaning\nFL-1\ta | b\n"))
    assert table.body == "| Code | Meaning |\n| --- | --- |\n| FL-1 | a \\| b |"


def test_a_zip_is_read_member_by_member(tmp_path: Path) -> None:
    inner = zipped({"deep/c.txt": b"Inner text."})
    content = zipped(
        {
            "a.md": b"# A\n\nText.",
            "sub/b.html": b"<h1>B</h1><p>Text.</p>",
            "sub/inner.zip": inner,
            "../escape.md": b"# Escape\n\nText.",
            "bad.pdf": b"no pdf",
            "image.png": b"\x89PNG",
            "__MACOSX/a.md": b"junk",
            ".hidden.md": b"junk",
        }
    )
    documents, problems = load(write(tmp_path / "kb.zip", content))
    assert {each.title for each in documents} == {"A", "B", "c", "Escape"}
    assert not (tmp_path.parent / "escape.md").exists()
    assert {each.where.rpartition("!")[2] for each in problems} == {"bad.pdf", "image.png"}


@pytest.mark.parametrize(
    ("members", "limits", "reason"),
    [
        ({"bomb.txt": bytes(30 << 20)}, Limits(), "times its size"),
        ({"big.txt": os.urandom(3 << 20)}, Limits(unpacked=1 << 20), "unpacks to"),
        ({f"{n}.txt": b"x" for n in range(30)}, Limits(members=20), "holds 30 files"),
        ({"a.zip": zipped({"b.zip": zipped({"c.txt": b"deep"})})}, Limits(), "archive in an archive"),
    ],
)
def test_a_zip_is_bounded(tmp_path: Path, members: dict[str, bytes], limits: Limits, reason: str) -> None:
    file = write(tmp_path / "kb.zip", zipped(members))
    found = list(files.read(file, "kb", limits, isolate=False))
    assert [reason in each.reason for each in found if isinstance(each, Problem)] == [True]
    assert not [each for each in found if isinstance(each, Document)]


def test_a_sitemap_names_the_pages_of_a_mirror(tmp_path: Path) -> None:
    urls = [
        f"https://help.example.com/{page}"
        for page in ("sync", "deep/billing.html", "gone", "../../etc/passwd")
    ]
    locations = "".join(f"<url><loc>{url}</loc></url>" for url in urls)
    sitemap = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{locations}</urlset>'
    site = tmp_path / "help.example.com"
    write(site / "sync" / "index.html", "<h1>Sync</h1><p>Text.</p>")
    write(site / "deep" / "billing.html", "<h1>Billing</h1><p>Text.</p>")
    file = write(tmp_path / "sitemap.xml", sitemap)
    documents, problems = load(file)
    assert [(each.slug, each.title, each.url) for each in documents] == [
        ("sync", "Sync", urls[0]),
        ("deep/billing.html", "Billing", urls[1]),
    ]
    assert [each.reason for each in problems] == ["is not in this mirror"] * 2
    assert len(load(tmp_path)[0]) == 2, "in a folder the pages count, not the sitemap as well"


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><urlset><url><loc>&y;</loc></url></urlset>'
    _, problems = load(write(tmp_path / "sitemap.xml", bomb))
    assert "has a document type" in problems[0].reason


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("bad.pdf", b"%PDF-1.7 cut off", "is no readable PDF"),
        ("empty.pdf", b"", "is no readable PDF"),
        ("bad.docx", b"PK\x03\x04 cut", "is no Word document"),
        ("bad.zip", b"PK\x03\x04 cut", "is no zip archive"),
        ("bad.csv", b'"\xff\xfe\x00never closed', ""),
    ],
)
def test_a_bad_document_is_named_and_the_rest_goes_on(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    write(tmp_path / "kb" / name, content)
    write(tmp_path / "kb" / "good.md", "Text.")
    documents, problems = load(tmp_path / "kb")
    assert [each.slug for each in documents if not each.slug.startswith("bad")] == ["good"]
    assert not reason or (name in problems[0].where and reason in problems[0].reason)


PARSERS = {
    "hang": ("import time; time.sleep(600)", "took more than 1 s"),
    "spin": ("while True: pass", "took more than 1 s"),
    "eat": ("x = bytearray(3 << 30)", "needs more than"),
    "die": ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
    "exit": ("import os; os._exit(3)", "the parser failed on it"),
}


@pytest.mark.parametrize("what", PARSERS)
def test_a_parser_that_goes_wrong_hurts_nobody_else(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child runs a copy of the package in which the PDF parser does what some file made it do."""
    code, reason = PARSERS[what]
    root = Path(isolated.__file__).parents[2]
    (tmp_path / "models" / "loading").mkdir(parents=True)
    for file in (root / "models" / "loading").glob("*.py"):
        (tmp_path / "models" / "loading" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "models" / "__init__.py").touch()
    (tmp_path / "models" / "loading" / "pdf.py").write_text(f"def read(path, limits):\n    {code}\n")
    monkeypatch.setattr(isolated, "ROOT", tmp_path)
    monkeypatch.setattr(isolated, "GRACE_S", 6.0)
    started = time.monotonic()
    found = list(isolated.read(write(tmp_path / "file.pdf", b"x"), "file", Limits(seconds=1)))
    assert time.monotonic() - started < 15
    assert [isinstance(each, Problem) and reason in each.reason for each in found] == [True], found


def test_the_child_knows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESERVICE_SECRET_KEY", "hush")
    monkeypatch.setattr(isolated, "ROOT", tmp_path)
    package = tmp_path / "models" / "loading"
    package.mkdir(parents=True)
    (package / "child.py").write_text(
        "import json, os\nprint(json.dumps({'where': str(dict(os.environ)), 'reason': ''}))"
    )
    (only,) = isolated.read(write(tmp_path / "file.pdf", b"x"), "file", Limits(seconds=5))
    assert "hush" not in str(only)
    assert json.dumps("PATH") in str(only).replace("'", '"')
