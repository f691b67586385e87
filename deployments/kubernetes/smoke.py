"""A smoke test of a deployed service: `python -m deployments.kubernetes.smoke URL`, its token in SMOKE_TOKEN.

Ready, searches, answers with its sources, takes a ticket and gives it back. Each step has a deadline; the
first that fails ends it with one line that says which, and what the service said.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx

QUESTION = "How do I reset my password?"
READY = ("ok", "degraded")


class StepFailed(Exception):
    """A step did not do what it should; the message says what it did."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.kubernetes.smoke", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--ready-within", type=float, default=600, metavar="SECONDS")
    parser.add_argument("--read-only", action="store_true", help="no ticket: for production")
    options = parser.parse_args(arguments)
    headers = {"Authorization": f"Bearer {os.environ.get('SMOKE_TOKEN', '')}"}
    with httpx.Client(base_url=options.url, headers=headers, timeout=60) as client:
        steps: dict[str, Callable[[], str]] = {
            "ready": lambda: ready(client, options.ready_within),
            "search": lambda: search(client, options.question),
            "answer": lambda: answer(client, options.question),
        }
        if not options.read_only:
            steps["ticket"] = lambda: ticket(client)
        return run(steps)


def run(steps: dict[str, Callable[[], str]]) -> int:
    for name, step in steps.items():
        begun = time.monotonic()
        try:
            said = step()
        except (StepFailed, httpx.HTTPError, KeyError, ValueError) as error:
            print(f"{name}: FAILED: {error!r}"[:1000], file=sys.stderr)
            return 1
        print(f"{name}: {said} ({time.monotonic() - begun:.1f} s)")
    return 0


def ready(client: httpx.Client, within_s: float) -> str:
    """`/readyz` says that it can serve; a degraded service is one that serves."""
    end, said = time.monotonic() + within_s, "nothing"
    while time.monotonic() < end:
        try:
            response = client.get("/readyz", timeout=10)
            said = response.text[:300]
            if response.status_code == 200 and response.json()["status"] in READY:
                return str(response.json()["status"])
        except (httpx.HTTPError, ValueError, KeyError) as error:
            said = repr(error)
        time.sleep(2)
    raise StepFailed(f"not ready within {within_s:.0f} s; it said {said}")


def search(client: httpx.Client, question: str) -> str:
    found = _json(client.post("/api/v1/knowledge/search", json={"query": question}))["results"]
    if not found:
        raise StepFailed("nothing found; is the knowledge base indexed?")
    return f"{len(found)} passages"


def answer(client: httpx.Client, question: str) -> str:
    body = {"model": "eservice-assistant", "messages": [{"role": "user", "content": question}]}
    said = _json(client.post("/v1/chat/completions", json=body, timeout=120))
    text = said["choices"][0]["message"]["content"]
    if not text:
        raise StepFailed("an empty answer")
    return f"{len(text)} characters, {len(said.get('citations') or [])} sources"


def ticket(client: httpx.Client) -> str:
    made = _json(
        client.post("/api/v1/tickets", json={"subject": "Smoke test", "body": "Made by a deployment."})
    )
    read = _json(client.get(f"/api/v1/tickets/{made['id']}"))
    if read["subject"] != "Smoke test":
        raise StepFailed(f"another ticket came back: {read['subject']!r}")
    return f"number {made['number']}"


def _json(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise StepFailed(
            f"{response.request.url.path} answered {response.status_code}: {response.text[:300]}"
        )
    return dict(response.json())


if __name__ == "__main__":
    sys.exit(main())
