"""Brings back the stores that die or hang, while the service runs."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from config.embedded import locks
from config.embedded.child import HUNG_STOP_S, Child

log = logging.getLogger(__name__)

CHECK_S = 0.5
ASK_S = 5.0
SILENCES = 3
"""Unanswered questions in a row, `ASK_S` apart, after which a server counts as hung."""

BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""How long to wait after so many failed starts in a row."""


@dataclass(slots=True)
class Health:
    """What was seen of one store; times are monotonic."""

    asked_at: float
    silences: int = 0
    failures: int = 0
    retry_at: float = 0.0


class Watch:
    """Watches servers that run already. Any number of processes may watch the same ones."""

    def __init__(self, children: Sequence[Child], lock_file: Path) -> None:
        self._lock_file = lock_file
        self._watched = [(child, Health(asked_at=time.monotonic())) for child in children]

    def run(self, ended: threading.Event) -> None:
        """`mend` twice a second until `ended`."""
        while not ended.wait(CHECK_S):
            try:
                self.mend()
            except Exception:
                log.exception("watching the embedded stores failed; going on")

    def mend(self) -> None:
        """Start again, on its port, what died or hangs, unless another process is just doing so."""
        for child, health in self._watched:
            if self._is_well(child, health) or time.monotonic() < health.retry_at:
                continue
            with suppress(locks.Busy), locks.exclusive(self._lock_file, timeout_s=0):
                self._restart(child, health)

    def _is_well(self, child: Child, health: Health) -> bool:
        record = child.record()
        if record is None or record.pid is None:
            return True  # stopped on purpose
        if not child.is_alive():
            return False
        if time.monotonic() - health.asked_at >= ASK_S:
            health.silences = 0 if child.answers() else health.silences + 1
            health.asked_at = time.monotonic()
        return health.silences < SILENCES

    def _restart(self, child: Child, health: Health) -> None:
        if self._is_well(child, health):
            return  # another process was quicker, or it was stopped
        name = child.server.name
        log.warning("%s %s; starting it again", name, "hangs" if child.is_alive() else "died")
        try:
            if child.is_alive():
                child.stop(timeout_s=HUNG_STOP_S)
            child.start(may_move=False)
        except Exception as error:
            delay = BACKOFF_S[min(health.failures, len(BACKOFF_S) - 1)]
            health.failures += 1
            health.retry_at = time.monotonic() + delay
            log.error("%s did not come back, next try in %.1f s: %s", name, delay, error)
        else:
            health.failures = health.silences = 0
            log.info("%s is back", name)
