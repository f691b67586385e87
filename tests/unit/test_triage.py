"""Triage: rules, languages, and a model that is trained here and now on two dozen tickets."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.triage.artefact import ArtefactError, TriageModel
from models.triage.figures import calibration_error
from models.triage.fitting import OUT_OF_SCOPE, Examples, NotEnoughExamples, fit
from models.triage.language import Languages
from models.triage.learnt import LearntTriager
from models.triage.protocol import PRIORITIES
from models.triage.rules import Rules
from models.triage.teaching import teach
from models.triage.untrained import UntrainedTriager
from models.triage.words import Words
from pipelines.training.examples import BadExamples, read
from tests.factories import WordVectors, triage_model

EXAMPLES = Path(__file__).parents[2] / "examples" / "tickets.jsonl"


@pytest.fixture(scope="module")
def model() -> TriageModel:
    return triage_model()


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules.load()


@pytest.fixture(scope="module")
def languages() -> Languages:
    return Languages()


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        ("URGENT: nobody can log in since this morning", "urgent"),
        ("Our production is down, please fix it immediately", "urgent"),
        ("You charged my card twice", "high"),
        ("Dringend: ich bin ausgesperrt", "high"),
        ("The font looks odd", "normal"),
        ("Not urgent, just wondering about themes", "low"),
        ("", "normal"),
    ],
)
def test_priority_comes_from_what_is_written(rules: Rules, text: str, priority: str) -> None:
    assert rules.judge(text).priority == priority


def test_every_rule_that_fired_is_a_reason_with_its_words(rules: Rules) -> None:
    reasons = rules.judge("My laptop was stolen, please hurry: urgent").reasons
    assert any("security" in reason and "stolen" in reason for reason in reasons)
    assert any("urgent (+2)" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("This is unacceptable and useless", "negative"),
        ("Great app, thanks a lot", "positive"),
        ("How do I export notes?", "neutral"),
    ],
)
def test_sentiment(rules: Rules, text: str, sentiment: str) -> None:
    assert rules.judge(text).sentiment == sentiment


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ich kann mich seit gestern nicht mehr anmelden", "de"),
        ("No puedo entrar en mi cuenta desde ayer", "es"),
        ("I cannot sign in to my account since yesterday", "en"),
    ],
)
def test_language(languages: Languages, text: str, language: str) -> None:
    assert languages.guess(text).language.name == language


def test_a_single_word_is_no_language(languages: Languages) -> None:
    guess = languages.guess("help")
    assert guess.language.name == "en"
    assert guess.language.probability < 0.7
    assert "too little text" in guess.reason


def test_rows_of_words_have_unit_length_in_both_parts() -> None:
    words = Words.learn(["reset my password", "reset my phone", "phone is lost"], min_texts=1)
    row = words.row("reset the phone phone")
    assert np.all(np.diff(row.index) > 0)
    for part in (row.index < words.word_count, row.index >= words.word_count):
        assert np.linalg.norm(row.value[part]) == pytest.approx(1, abs=1e-5)
    assert len(words.row("♥").index) == 0


async def test_a_learnt_triager_knows_intent_and_queue(model: TriageModel) -> None:
    triage = await LearntTriager(model, WordVectors()).triage("login refused", "password reset please")
    assert triage.intent
    assert triage.queue
    assert (triage.intent.name, triage.queue.name) == ("password_reset", "accounts")
    assert triage.candidates[0] == triage.intent
    assert sum(candidate.probability for candidate in triage.candidates) == pytest.approx(1, abs=1e-4)
    assert triage.version == "test-1"


async def test_it_abstains_only_where_it_is_told_to(model: TriageModel) -> None:
    strange = ("What is the meaning of life", "I wonder about the stars and the sea")
    best = await LearntTriager(model, WordVectors()).triage(*strange)
    assert best.queue is not None
    unsure = await LearntTriager(model, WordVectors(), abstain_below=0.6).triage(*strange)
    assert (unsure.intent, unsure.queue) == (None, None)
    assert unsure.candidates == best.candidates
    assert "a person decides" in unsure.reasons[0]


async def test_the_queue_can_be_known_where_the_intent_is_not(model: TriageModel) -> None:
    both = replace(model, queues=("desk",), queue_of=np.ones((3, 1), dtype=np.float32))
    unsure = LearntTriager(both, WordVectors(), abstain_below=0.999)
    triage = await unsure.triage("login refused", "password reset please")
    assert triage.intent is None
    assert triage.queue
    assert triage.queue.name == "desk"
    assert "its queue is likely desk" in triage.reasons[0]


async def test_priority_and_sentiment_have_a_probability_and_a_reason(model: TriageModel) -> None:
    text = ("Charged twice", "please fix it asap, this is unacceptable")
    for triager in (LearntTriager(model, WordVectors()), UntrainedTriager()):
        triage = await triager.triage(*text)
        assert (triage.priority, triage.sentiment) == ("urgent", "negative")
        assert triage.priority_probability == triage.sentiment_probability == pytest.approx(0.6)
        assert any(reason.startswith("priority urgent") for reason in triage.reasons)


async def test_a_desk_whose_people_say_otherwise_is_believed(model: TriageModel) -> None:
    taught = replace(model, priority=teach(PRIORITIES, ["urgent"] * 30, ["high"] * 30, np.zeros((30, 256))))
    triage = await LearntTriager(taught, WordVectors()).triage("Charged twice", "please fix it asap")
    assert triage.priority == "high"
    assert "from 30 labels of people), where the rules say urgent" in triage.reasons[1]


async def test_an_untrained_triager_leaves_the_queue_to_a_person() -> None:
    triage = await UntrainedTriager().triage("Charged twice", "please fix it asap")
    assert (triage.intent, triage.queue, triage.priority) == (None, None, "urgent")


def test_an_artefact_reads_back_as_it_was(model: TriageModel, tmp_path: Path) -> None:
    model.save(tmp_path / "v1")
    read_back = TriageModel.load(tmp_path / "v1")
    texts = ["login refused", "card refund", "notes missing on device"]
    before, after = (each.predict(texts, WordVectors().encode(texts)) for each in (model, read_back))
    for one, other in zip(before, after, strict=True):
        assert [c.name for c in one.candidates] == [c.name for c in other.candidates]
        assert one.confidence == pytest.approx(other.confidence, abs=1e-2)
    assert (read_back.priority.names, read_back.sentiment.weight) == (PRIORITIES, 0)
    assert np.array_equal(read_back.priority.shares, model.priority.shares)
    assert not list(tmp_path.rglob("*.pkl"))


def test_where_there_is_little_to_learn_from_a_labels_name_counts() -> None:
    texts = [f"{word} {n}" for word in ("alpha", "beta", "gamma", "delta") for n in ("one", "two", "three")]
    labels = np.repeat(["red car", "blue boat", "green bike", "white plane"], 3)
    vectors = WordVectors().encode
    names = dict(zip(sorted(set(labels)), vectors(sorted(set(labels))), strict=True))
    told = [f"{text} {label}" for text, label in zip(texts, labels, strict=True)]
    classifier = fit(Examples(told, vectors(told), labels, names)).classifier
    new = ["please paint my boat in blue"]
    said = classifier.logits(new, vectors(new))
    assert classifier.labels[int(said.argmax())] == "blue boat"
    assert classifier.mix.weights[-1] > 0.01
    assert classifier.names.logits(vectors(new)).argmax() == said.argmax()


def test_a_broken_artefact_says_so(model: TriageModel, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no triage artefact"):
        TriageModel.load(tmp_path)
    model.save(tmp_path / "v1")
    about = json.loads((tmp_path / "v1" / "model.json").read_text())
    (tmp_path / "v1" / "model.json").write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(ArtefactError, match="train again"):
        TriageModel.load(tmp_path / "v1")


def test_an_artefact_of_the_format_before_is_still_read(model: TriageModel, tmp_path: Path) -> None:
    model.save(tmp_path / "v1")
    about = json.loads((tmp_path / "v1" / "model.json").read_text())
    older = {key: value for key, value in about.items() if key not in {"priority", "sentiment"}}
    older["mix"] = about["mix"][:4]
    (tmp_path / "v1" / "model.json").write_text(json.dumps(older | {"format": 3}))
    assert TriageModel.load(tmp_path / "v1").priority.examples == 0


def test_vectors_of_another_model_are_refused(model: TriageModel) -> None:
    class Other(WordVectors):
        name = "other"

    with pytest.raises(ArtefactError, match="train again"):
        LearntTriager(model, Other())


def test_out_of_scope_rows_teach_to_abstain() -> None:
    familiar = [f"{a} {b} my password login" for a in ("reset", "change") for b in "abcdefghij"]
    bills = [f"{a} {b} my invoice card" for a in ("send", "pay") for b in "abcdefghij"]
    strange = [f"tell me about {b} stars weather songs" for b in "abcdefghijklmnopqrst"]
    texts = familiar + bills + strange
    labels = ["password"] * 20 + ["invoice"] * 20 + [OUT_OF_SCOPE] * 20
    fitted = fit(Examples(texts, WordVectors().encode(texts), np.array(labels)))
    classifier = fitted.classifier
    assert fitted.figures["held_out"] == 40
    assert fitted.figures["accuracy"] == 1
    assert classifier.labels == ("invoice", "password")
    new = ["change my login password", "sing songs about the weather"]
    known, unknown = classifier.confidence(classifier.logits(new, WordVectors().encode(new)))
    assert known >= classifier.threshold > unknown


def test_one_label_is_not_enough() -> None:
    with pytest.raises(NotEnoughExamples, match="at least two labels"):
        fit(Examples(["a b"] * 3, WordVectors().encode(["a b"] * 3), np.array(["x"] * 3)))


def test_calibration_error_of_the_honest_and_of_the_boastful() -> None:
    assert calibration_error([0.5] * 10, [True] * 5 + [False] * 5) == pytest.approx(0)
    assert calibration_error([1.0] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.5)


def test_the_sample_tickets_can_be_learnt_from() -> None:
    examples = read(EXAMPLES)
    assert len(examples) >= 20
    assert all(example.queue and example.label for example in examples)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no examples"),
        ('{"title": "a", "text": "b", "label": "c"}\n{broken\n', "line 2 is not JSON"),
        ("[1]\n", "line 1 is not a JSON object"),
        ('{"title": "a", "text": "b"}\n', "line 1: label missing"),
    ],
)
def test_a_bad_file_is_refused_by_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "tickets.jsonl"
    file.write_text(content)
    with pytest.raises(BadExamples, match=message):
        read(file)
