"""Fine-tunes a cross-encoder on solved cases: what solved a question against what only looks like it.

The loss is the listwise softmax cross-entropy of one right passage among hard negatives (Cao et al. 2007,
"Learning to Rank", ListNet's top-one case). The loop is our own: sentence-transformers' trainer needs one
more library, and does not stop at a deadline to go on later. torch is imported when something is trained.
"""

import hashlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

Report: TypeAlias = Callable[[str], None]


class NotEnoughCases(ValueError):
    """There are too few solved cases to train a reranker on; solve more, or name a published one."""


class Unfinished(RuntimeError):
    """The time given to this training is over; run it again to go on."""


@dataclass(frozen=True, slots=True)
class Group:
    """A question, the passages that solved it, and passages found for it that did not, hardest first."""

    question: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """`groups` questions a step, each with one right passage and `negatives` wrong ones.

    `device` is torch's; `None` takes a GPU where one is seen.
    """

    epochs: int = 4
    groups: int = 8
    negatives: int = 5
    learning_rate: float = 5e-5
    warm_up: float = 0.1
    max_tokens: int = 160
    seed: int = 0
    device: str | None = None
    least: int = 50
    save_every_s: float = 60.0

    def fingerprint(self, groups: Sequence[Group]) -> str:
        """The same for a training that may go on from another's checkpoint."""
        shape = {k: v for k, v in asdict(self).items() if k not in {"device", "save_every_s"}}
        return hashlib.sha256(repr((shape, groups)).encode()).hexdigest()[:16]


def usable(groups: Sequence[Group], settings: Training) -> list[Group]:
    """Those that can be learnt from; `NotEnoughCases` where they are too few."""
    found = [each for each in groups if each.right and len(each.wrong) >= settings.negatives]
    if len(found) < settings.least:
        raise NotEnoughCases(
            f"{len(found)} cases with a right passage and enough wrong ones; {settings.least} are needed."
            " Solve more, or name a published reranker in the profile"
        )
    return found


def train(
    weights: Path,
    groups: Sequence[Group],
    settings: Training,
    *,
    checkpoint: Path,
    report: Report,
    until: float = float("inf"),
) -> Any:
    """A `sentence_transformers.CrossEncoder` with one output, from the encoder in `weights`.

    It goes on from `checkpoint` where that is of the same training, and leaves one there: every minute, and
    where `until` (of `time.monotonic`) comes first, which raises `Unfinished`.
    """
    run = _Run(weights, usable(groups, settings), settings, checkpoint)
    started, begun, saved = time.monotonic(), run.step, time.monotonic()
    while run.step < run.steps:
        now = time.monotonic()
        if now > until:
            run.save()
            raise Unfinished(f"step {run.step:,} of {run.steps:,}: run it again to go on from there")
        if now - saved > settings.save_every_s:
            run.save()
            saved = now
        loss = run.advance()
        left = (time.monotonic() - started) / (run.step - begun) * (run.steps - run.step)
        report(f"step {run.step:,} of {run.steps:,}, loss {loss:.3f}, {left:.0f} s left")
    run.save()
    run.encoder.model.eval()
    return run.encoder


class _Run:
    """A training at one of its steps. What a step draws hangs on its number alone, so that it can go on."""

    def __init__(self, weights: Path, groups: Sequence[Group], settings: Training, checkpoint: Path) -> None:
        import torch
        from sentence_transformers import CrossEncoder

        torch.manual_seed(settings.seed)
        self.encoder: Any = CrossEncoder(
            str(weights),
            num_labels=1,
            max_length=settings.max_tokens,
            device=settings.device,
            local_files_only=True,
            model_kwargs={"attn_implementation": "eager"},  # what can be exported to ONNX
        )
        self.groups, self.settings, self.checkpoint = groups, settings, checkpoint
        self.optimiser: Any = torch.optim.AdamW(
            self.encoder.model.parameters(), lr=settings.learning_rate, weight_decay=0.01
        )
        self.steps = max(1, settings.epochs * len(groups) // settings.groups)
        self.step = 0
        self._fingerprint = settings.fingerprint(groups)
        self._resume()

    def advance(self) -> float:
        """One step; its loss."""
        import torch

        settings, device = self.settings, self.encoder.device
        rng = random.Random(f"{settings.seed}/{self.step}")
        torch.manual_seed(settings.seed + self.step)  # dropout too
        for each in self.optimiser.param_groups:
            each["lr"] = settings.learning_rate * _schedule(self.step, self.steps, settings.warm_up)
        picked = rng.sample(list(self.groups), min(settings.groups, len(self.groups)))
        pairs = [pair for group in picked for pair in _pairs(group, settings, rng)]
        texts = self.encoder.tokenizer(
            [question for question, _ in pairs],
            [passage for _, passage in pairs],
            padding=True,
            truncation="longest_first",
            max_length=settings.max_tokens,
            return_tensors="pt",
        ).to(device)
        self.encoder.model.train()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=_has_bfloat16(device.type)):
            logits = self.encoder.model(**texts).logits
        scores = logits.float().view(-1, 1 + settings.negatives)
        first = torch.zeros(len(scores), dtype=torch.long, device=device)
        loss = torch.nn.functional.cross_entropy(scores, first)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.encoder.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        return float(loss.detach())

    def save(self) -> None:
        import torch

        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        draft = self.checkpoint.with_suffix(".draft")
        torch.save(
            {
                "of": self._fingerprint,
                "step": self.step,
                "network": self.encoder.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            },
            draft,
        )
        draft.replace(self.checkpoint)

    def _resume(self) -> None:
        import torch

        if not self.checkpoint.is_file():
            return
        kept = torch.load(self.checkpoint, map_location=self.encoder.device, weights_only=True)
        if kept["of"] == self._fingerprint:
            self.step = kept["step"]
            self.encoder.model.load_state_dict(kept["network"])
            self.optimiser.load_state_dict(kept["optimiser"])


def _has_bfloat16(device: str) -> bool:
    """Where products in it are faster: a step of 48 pairs took 1.8 instead of 4.5 s on two cores with it."""
    import torch

    return device == "cuda" or (device == "cpu" and torch.cpu._is_avx512_bf16_supported())


def _schedule(step: int, steps: int, warm_up: float) -> float:
    """Up in a line over the first steps, then down in a line to nothing."""
    return min(1.0, (step + 1) / (warm_up * steps + 1)) * (1 - step / steps)


def _pairs(group: Group, settings: Training, rng: random.Random) -> list[tuple[str, str]]:
    """The right passage first."""
    wrong = rng.sample(group.wrong, settings.negatives)
    return [(group.question, passage) for passage in (rng.choice(group.right), *wrong)]
