"""The index of decisions: every ADR by its number and title."""

import re

from config.environment import CHECKOUT

FOLDER = CHECKOUT / "docs" / "adr"


def text() -> str:
    lines = [
        "# Decisions",
        "",
        "Ten lines each: what was decided, why, and what would change it. Written by `make docs`.",
    ]
    lines += ["", "| | decision |", "|---|---|"]
    for file in sorted(FOLDER.glob("[0-9]*.md")):
        title = re.sub(r"^#\s*(?:\d+[.:]?\s*)?", "", file.read_text().splitlines()[0])
        lines.append(f"| {int(file.name[:4])} | [{title}]({file.name}) |")
    return "\n".join(lines) + "\n"
