"""Provider health: one real token from each, so that a wrong key or name is found before a customer does."""

import asyncio
import time

from rich.console import Console
from rich.table import Table

from config.environment import Environment
from config.lineup import Provider
from config.profile import Profile
from deployments.providers import LeftOut, Providers
from models.llm.errors import ProviderError
from models.llm.protocol import ChatProvider, ChatRequest

TIMEOUT_S = 30.0


async def check(profile: Profile, environment: Environment) -> int:
    """Ask each hosted provider of the profile; 1 where one that has its key does not answer."""
    providers = Providers(profile, environment, None)
    table = Table("provider", "model", "state", title="LLM providers")
    failed = False
    for each in profile.llm.providers:
        state, works = await _state(providers, each)
        table.add_row(each.name, each.model, state)
        failed = failed or not works
    Console().print(table)
    return int(failed)


async def _state(providers: Providers, provider: Provider) -> tuple[str, bool]:
    """What to say of it, and whether that is no fault."""
    if not provider.is_hosted:
        return "in the cluster: see /readyz", True
    try:
        client = providers.open(provider)
    except LeftOut as why:
        return f"left out: {why}", True
    try:
        return await _ask(client, provider.model)
    finally:
        await client.close()


async def _ask(client: ChatProvider, model: str) -> tuple[str, bool]:
    request: ChatRequest = {
        "model": model,
        "messages": [{"role": "user", "content": "Say yes."}],
        "max_tokens": 1,
    }
    begun = time.monotonic()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            async for _ in client.stream(request):
                break
    except ProviderError as error:
        return str(error)[:120], False
    except TimeoutError:
        return f"silent for {TIMEOUT_S:.0f} s", False
    return f"answers after {1000 * (time.monotonic() - begun):.0f} ms", True
