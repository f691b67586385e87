"""Every figure says what it is, and the document explains every ending and every rate."""

import re

import pytest

from app.analytics import measures
from app.analytics.service import BACKLOG, KINDS, SPEND, Kind
from app.ledger import rules
from config.environment import CHECKOUT

DOCUMENT = (CHECKOUT / "docs" / "ANALYTICS.md").read_text()
REASONS = set(re.findall(r'Draft\("\w+", "(\w+)"', (CHECKOUT / "app/ledger/rules.py").read_text()))


@pytest.mark.parametrize("kind", [*KINDS, BACKLOG, SPEND], ids=lambda kind: kind.name)
def test_the_fields_of_a_row_are_its_measures(kind: Kind) -> None:
    names = [measure.name for measure in kind.measures]
    assert len(set(names)) == len(names)
    for measure in kind.measures:
        assert kind.row.model_fields[measure.name].description == measure.about


def test_every_rate_names_what_it_divides() -> None:
    divided = [measure for measure in measures.OVERVIEW if "nullif" in measure.sql]
    assert len(divided) == 11
    for rate in divided:
        assert re.search(r"Numerator: \w+; denominator: \w+$", rate.about), rate.name


@pytest.mark.parametrize("name", [measure.name for measure in measures.RATES if "nullif" in measure.sql])
def test_the_document_has_every_rate(name: str) -> None:
    assert f"| `{name}` |" in DOCUMENT


@pytest.mark.parametrize("reason", sorted({*REASONS, *rules.ABANDONED_AFTER.values()}))
def test_the_document_has_every_reason_of_an_ending(reason: str) -> None:
    facts = {"asked", "filed", "labels_changed", "first_reply", "by_customer"}
    assert reason in facts or f"`{reason}`" in DOCUMENT
