"""In which order the providers of a route are asked."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.llm.chain import Link


@dataclass(frozen=True, slots=True)
class Route:
    """A chain under a name of its own: in this order, or by `weights`, one for each link."""

    name: str
    links: Sequence[Link]
    weights: Sequence[float] = ()

    def order(self, uniform: Callable[[], float] = random.random) -> list[Link]:
        """Every link once. Weighted, each is first as often as its weight says; a weight of 0 comes last.

        (Efraimidis and Spirakis, 2006: the order of exponential draws at these rates.)
        """
        if not self.weights:
            return list(self.links)
        draws = [-math.log(1.0 - uniform()) / weight if weight else math.inf for weight in self.weights]
        return [self.links[i] for i in sorted(range(len(draws)), key=draws.__getitem__)]
