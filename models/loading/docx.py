"""Word documents as Markdown, over the HTML that mammoth makes of their styles."""

import zipfile
from pathlib import Path

import mammoth

from models.loading import archives, html
from models.loading.encoding import Unreadable
from models.loading.limits import Limits

STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Code'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
"""


def read(path: Path, limits: Limits) -> tuple[str, str]:
    """Title (may be empty) and Markdown. Pictures are left out."""
    try:
        with zipfile.ZipFile(path) as archive:
            archives.check(archive, limits)
        with path.open("rb") as file:
            converted = mammoth.convert_to_html(
                file, style_map=STYLES, convert_image=mammoth.images.img_element(lambda _: {})
            )
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise Unreadable("is no Word document") from error
    return html.page(converted.value)
