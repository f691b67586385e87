"""What `make serve` says while it starts, and once it is ready."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console

from config.environment import Environment
from deployments.local.cluster import Cluster

QUESTION = "How do I resolve a sync conflict?"


class Report:
    """One line a step: a spinner on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = Console(file=sys.stderr, highlight=False)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        if not self.console.is_terminal:
            self.line(f"{name} ...")
        with self.console.status(name):
            yield
        self.line(f"{name}: {time.monotonic() - started:.1f} s")

    def line(self, text: str) -> None:
        self.console.print(text)


def banner(
    env: Environment, cluster: Cluster | None, users: Mapping[str, str], password: str, seconds: float
) -> str:
    """Where everything is, who may sign in, and a first question to paste."""
    at = f"http://127.0.0.1:{env.port}"
    people = "\n".join(f"    {email:<26} {role}" for email, role in users.items())
    return f"""
eService is ready after {seconds:.0f} s.

  API and documentation   {at}/docs
  OpenAI-compatible       {at}/v1
  Ray dashboard           {cluster.dashboard if cluster else "-"}

  Demo users (password: {password})
{people}

  A first question:

    curl -N {at}/v1/chat/completions \\
      -H "Authorization: Bearer $(make -s token ROLE=customer)" \\
      -H 'Content-Type: application/json' \\
      -d '{{"model": "eservice-assistant", "stream": true,
           "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'

  Ctrl-C stops everything.
"""
