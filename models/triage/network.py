"""A small network on vectors: one hidden layer, where a linear head on its own draws too straight a line.

Trained with torch, served with numpy: two matrix products. Regularised hard (dropout, weight decay, smoothed
labels), which costs calibration; that is made good where the heads are mixed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.embedding.protocol import Vectors

HIDDEN, EPOCHS, BATCH = 512, 30, 128
RATE, DECAY, SMOOTHING = 1e-3, 1e-2, 0.1


@dataclass(frozen=True, slots=True)
class Network:
    """`hidden` has shape (dimensions, units), `output` (units, labels). Inputs are standardised first."""

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    output: NDArray[np.float32]
    output_bias: NDArray[np.float32]

    def logits(self, vectors: Vectors) -> NDArray[np.float32]:
        inner = ((vectors - self.centre) / self.spread) @ self.hidden + self.hidden_bias
        active = np.maximum(inner, 0)
        return np.asarray(active @ self.output + self.output_bias, dtype=np.float32)


def train(vectors: Vectors, target: NDArray[np.int64], weights: NDArray[np.float64], count: int) -> Network:
    """15 s for 10,000 texts; the same for the same input.

    On one thread: batches are so small that two took 25 times as long where another process wants a core too.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train(vectors, target, weights, count)
    finally:
        torch.set_num_threads(threads)


def _train(vectors: Vectors, target: NDArray[np.int64], weights: NDArray[np.float64], count: int) -> Network:
    import torch

    centre, spread = vectors.mean(axis=0), vectors.std(axis=0)
    spread = np.maximum(spread, spread.mean())  # a direction that few examples have must not shout
    x, y = torch.tensor((vectors - centre) / spread), torch.tensor(target)
    counts = torch.tensor(weights, dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.Sequential(
            torch.nn.Dropout(0.1),
            torch.nn.Linear(x.shape[1], HIDDEN),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.4),
            torch.nn.Linear(HIDDEN, count),
        )
        optimiser = torch.optim.AdamW(layers.parameters(), lr=RATE, weight_decay=DECAY)
        steps = EPOCHS * -(-len(x) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2 * RATE, total_steps=steps)
        loss_of = torch.nn.CrossEntropyLoss(label_smoothing=SMOOTHING, reduction="none")
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(x)).split(BATCH):
                optimiser.zero_grad()
                (counts[batch] * loss_of(layers(x[batch]), y[batch])).mean().backward()
                optimiser.step()
                schedule.step()
    first, second = layers[1], layers[4]
    return Network(
        centre,
        spread,
        first.weight.detach().numpy().T.copy(),
        first.bias.detach().numpy(),
        second.weight.detach().numpy().T.copy(),
        second.bias.detach().numpy(),
    )
