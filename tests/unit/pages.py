"""A PDF and a Word document as an office makes them, without an office."""

import io
import zipfile
from itertools import accumulate

TABLE = (("Code", "Meaning"), ("FL-204", "The storage is full"), ("FL-320", "The clock is wrong"))


def pdf() -> bytes:
    """Three pages with running headers and footers; the first has headings, a paragraph, a ruled table."""
    first = [
        *_text(72, 700, 20, "Sync guide"),
        *_text(72, 660, 10, "Two devices changed the same paragraph while"),
        *_text(72, 648, 10, "one of them was offline."),
        *_text(72, 610, 14, "Error codes"),
        *_table(72, 590),
        *_text(72, 500, 10, "After the table there is more text."),
    ]
    other = [*_text(72, 690, 10, "Nothing else happens on this page, which is long enough for body text.")]
    pages = [first, other, other]
    return _document([_page(content, n, len(pages)) for n, content in enumerate(pages, start=1)])


def _page(content: list[str], number: int, of: int) -> str:
    running = [*_text(72, 770, 8, "Fernleaf confidential"), *_text(72, 30, 8, f"Page {number} of {of}")]
    return "\n".join([*running, *content])


def _text(x: int, y: int, size: int, text: str) -> list[str]:
    return [f"BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET"]


def _table(x: int, top: int) -> list[str]:
    drawn = []
    for row, cells in enumerate(TABLE):
        for column, cell in enumerate(cells):
            left, bottom = x + 150 * column, top - 20 * (row + 1)
            drawn += [f"{left} {bottom} 150 20 re S", *_text(left + 4, bottom + 6, 10, cell)]
    return drawn


def _document(contents: list[str]) -> bytes:
    pages = [3 + 2 * n for n in range(len(contents))]
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{' '.join(f'{n} 0 R' for n in pages)}] /Count {len(pages)} >>",
    ]
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    for page, content in zip(pages, contents, strict=True):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {page + 1} 0 R"
            f" /Resources << /Font << /F1 {font} >> >> >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    parts = [b"%PDF-1.4\n"]
    parts += [f"{n} 0 obj\n{body}\nendobj\n".encode() for n, body in enumerate(objects, start=1)]
    offsets = list(accumulate(len(part) for part in parts))
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets[:-1])
    parts.append(
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{offsets[-1]}\n%%EOF".encode()
    )
    return b"".join(parts)


def docx() -> bytes:
    rows = "".join(
        f"<w:tr>{''.join(f'<w:tc>{_paragraph(cell)}</w:tc>' for cell in row)}</w:tr>" for row in TABLE
    )
    body = (
        _paragraph("Sync guide", "Title")
        + _paragraph("Two devices changed the same paragraph.")
        + _paragraph("Error codes", "Heading2")
        + f"<w:tbl>{rows}</w:tbl>"
    )
    word = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{key}"><w:name w:val="{name}"/></w:style>'
        for key, name in {"Title": "Title", "Heading2": "heading 2"}.items()
    )
    package = "http://schemas.openxmlformats.org"
    kinds = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    relation = f"{package}/officeDocument/2006/relationships"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{kinds}.document.main+xml"/>'
        f'<Override PartName="/word/styles.xml" ContentType="{kinds}.styles+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{relation}/officeDocument" Target="word/document.xml"/>'
        "</Relationships>",
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{relation}/styles" Target="styles.xml"/></Relationships>',
        "word/styles.xml": f"<w:styles {word}>{styles}</w:styles>",
        "word/document.xml": f"<w:document {word}><w:body>{body}</w:body></w:document>",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"
