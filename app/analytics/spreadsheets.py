"""Reports as CSV (RFC 4180) that a spreadsheet opens without running what people wrote into a name."""

import csv
import io
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import BinaryIO, cast

from app.errors import Invalid

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How cells begin that Excel, LibreOffice or Google Sheets take for a formula (OWASP, CSV injection)."""
MOST_BYTES = 64 << 20
IN_MEMORY = 1 << 20
CHUNK = 64 << 10


class ReportTooLarge(Invalid):
    """This report takes more than 64 MiB; choose fewer days or group by less."""


def cell(value: object) -> object:
    """Text that could be a formula becomes text with an apostrophe before it; numbers stay as they are."""
    if isinstance(value, str) and value.lstrip(" ")[:1] in FORMULA and value.strip(" "):
        return f"'{value}"
    return "" if value is None else value


async def written(header: Sequence[str], rows: AsyncIterator[Sequence[object]]) -> BinaryIO:
    """All rows, in memory or on disk: a slow reader holds a file, not a connection."""
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - `chunks` closes it
    try:
        text = io.TextIOWrapper(cast(BinaryIO, file), encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(header)
        async for row in rows:
            writer.writerow([cell(value) for value in row])
            if file.tell() > MOST_BYTES:
                raise ReportTooLarge
        text.detach()
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return cast(BinaryIO, file)


def chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
