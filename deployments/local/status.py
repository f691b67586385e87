"""`make status`: what runs in this home, how it does, and what went wrong last, on one page of a terminal."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from config import environment
from deployments.local.looking import RECENT_S, Page, look

WELL = {"HEALTHY", "running", "up", "ok", "closed"}
NOTHING = "Nothing runs in {home}. Start it with `make serve`."


def main(arguments: list[str] | None = None) -> int:
    """0 if all is well, 1 if something is not, 3 if nothing runs."""
    parser = argparse.ArgumentParser(prog="make status", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the same for programs")
    options = parser.parse_args(arguments)
    try:
        page = look(environment.read())
    except environment.InvalidSetting as error:
        print(f"make status: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(asdict(page), indent=2, default=str))
    else:
        show(page, Console())
    if not page.running:
        return 3
    return 0 if page.ready.get("status") == "ok" else 1


def show(page: Page, console: Console) -> None:
    if not page.running:
        console.print(NOTHING.format(home=page.home), style="yellow", markup=False)
        _table(console, "Stores", ("name", "state", "port"), page.stores)
        return
    state = page.ready.get("status", "not answering")
    console.print(f"eService in {page.home}: {_coloured(state)}", highlight=False)
    needs = [{"name": name, "state": state} for name, state in page.ready.get("dependencies", {}).items()]
    _table(console, "Deployments", ("name", "status", "running", "wanted", "message"), page.deployments)
    _table(console, "Stores", ("name", "state", "port", "pid"), page.stores)
    _table(console, "As the gateway sees it", ("name", "state"), needs)
    _table(console, "Jobs", ("kind", "waiting", "oldest_s", "dead"), page.queues, empty="nothing waits")
    _table(console, "Providers", ("name", "model", "enabled", "circuit"), map(_provider, page.providers))
    _table(console, "Figures", ("what", "value"), map(_figure, page.figures.items()))
    _table(
        console,
        "Last errors and warnings",
        ("timestamp", "deployment", "event", "error"),
        page.errors,
        empty="none",
    )


def _table(
    console: Console, title: str, columns: tuple[str, ...], rows: Iterable[dict[str, Any]], *, empty: str = ""
) -> None:
    found = list(rows)
    if not found:
        if empty:
            console.print(f"[bold]{title}[/bold]: {empty}")
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, style="dim" if column == "timestamp" else "", overflow="fold")
    for row in found:
        table.add_row(*(_coloured(_text(row.get(column))) for column in columns))
    console.print(table)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).splitlines()[0][:100] if str(value) else ""


def _coloured(text: str) -> str:
    if text in WELL:
        return f"[green]{text}[/green]"
    if text in {"degraded", "UPDATING", "half_open", "starting"}:
        return f"[yellow]{text}[/yellow]"
    if text in {"UNHEALTHY", "DEPLOY_FAILED", "down", "unready", "open", "stopped", "not answering"}:
        return f"[red]{text}[/red]"
    return text.replace("[", "\\[")


def _provider(provider: dict[str, Any]) -> dict[str, Any]:
    return {**provider, "circuit": (provider.get("state") or {}).get("circuit")}


FIGURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "requests_per_s": ("requests a second, now", "{:.1f}".format),
    "errors_per_s": ("of these 5xx", "{:.1f}".format),
    "answers": (f"answers in {RECENT_S / 60:.0f} minutes", "{:.0f}".format),
    "abstained": ("of these did not know", "{:.0f}".format),
    "degraded": ("of these without a model", "{:.0f}".format),
    "p95_ms": ("an answer, p95", "{:,.0f} ms".format),
    "tokens": ("tokens", "{:,.0f}".format),
    "cost_usd": ("cost", "{:.4f} USD".format),
    "day_opened": ("inquiries in 24 hours", "{:.0f}".format),
    "day_deflection_rate": ("settled by the assistant", "{:.0%}".format),
    "day_resolution_rate": ("resolved, of those that ended", "{:.0%}".format),
    "day_reopen_rate": ("resolutions that did not last", "{:.0%}".format),
    "day_hand_off_rate": ("handed over to people", "{:.0%}".format),
    "day_attainment": ("promises kept", "{:.0%}".format),
    "day_csat": ("satisfied customers", "{:.0%}".format),
    "day_cost_usd": ("cost of what ended", "{:.4f} USD".format),
    "day_cost_per_verified_resolution": ("cost of a resolution", "{:.4f} USD".format),
    "day_backlog": ("tickets open", "{:.0f}".format),
}


def _figure(figure: tuple[str, float]) -> dict[str, Any]:
    name, value = figure
    text, form = FIGURES.get(name, (name, str))
    return {"what": text, "value": form(value)}


if __name__ == "__main__":
    sys.exit(main())
