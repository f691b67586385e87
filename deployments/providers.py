"""From a lineup of providers to the chains that answer, on one replica with its environment and handles."""

from collections.abc import Mapping
from pathlib import Path

from ray.serve.handle import DeploymentHandle

from config.environment import Environment
from config.lineup import Lineup, Provider, RouteSettings, is_plain
from config.profile import LlmSettings, Profile
from deployments.remote import SelfHosted
from models.llm import anthropic
from models.llm.anthropic import Anthropic
from models.llm.breaker import Breaker, Tolerance
from models.llm.catalogue import Catalogue
from models.llm.chain import Deadlines, Link
from models.llm.openai_compatible import AZURE_DIALECT, azure, openai
from models.llm.protocol import ChatProvider
from models.llm.retries import Retries
from models.llm.routes import Route
from models.llm.slots import Slots
from models.prompts.tokens import EstimatedCounter, counter_for


class LeftOut(ValueError):
    """This provider cannot be asked from here; the message says why."""


class Providers:
    """Makes and remakes the chains; a provider that stays as it was keeps connections, slots and breaker."""

    def __init__(self, profile: Profile, environment: Environment, llm: DeploymentHandle | None) -> None:
        self._settings = profile.llm
        self._local = profile.is_local
        self._environment = environment
        self._llm = llm
        self._counter = counter_for(tokenizer_folder(profile, environment))
        self._links: dict[tuple[str | None, ...], Link] = {}

    def catalogue(self) -> Catalogue:
        """With the profile's own lineup, which is version 0."""
        settings = self._settings
        deadlines = Deadlines(
            settings.first_token_timeout_s, settings.token_gap_timeout_s, settings.total_timeout_s
        )
        links, routes = self._chains(settings)
        return Catalogue(links, deadlines, routes)

    def take_up(self, catalogue: Catalogue, lineup: Lineup, version: int) -> None:
        """Let `catalogue` answer by `lineup` from its next answer on."""
        catalogue.replace(*self._chains(lineup), version)

    def _chains(self, lineup: Lineup) -> tuple[list[Link], list[Route]]:
        """In the lineup's order; what is disabled or cannot be asked from here is left out."""
        links = {each.name: link for each in lineup.providers if (link := self._link(each)) is not None}
        self._links = {each.connection: links[each.name] for each in lineup.providers if each.name in links}
        routes = [route for each in lineup.routes if (route := _route(each, links)).links]
        return list(links.values()), routes

    def _link(self, provider: Provider) -> Link | None:
        settings, before = self._settings, self._links.get(provider.connection)
        try:
            if not provider.enabled:
                return None
            client = before.provider if before else self.open(provider)
        except LeftOut:
            return None
        return Link(
            client,
            provider.model,
            before.slots if before else Slots(settings.max_concurrent, settings.max_waiting),
            prompt_price=provider.prompt_usd_per_million,
            completion_price=provider.completion_usd_per_million,
            continues=provider.continues,
            masks=provider.is_hosted and provider.masks_personal_data,
            counter=EstimatedCounter(provider.characters_per_token) if provider.is_hosted else self._counter,
            retries=Retries(**settings.retries.model_dump()),
            breaker=before.breaker if before else Breaker(Tolerance(**settings.breaker.model_dump())),
        )

    def open(self, provider: Provider) -> ChatProvider:
        """A client of its own; `LeftOut` where the key or the address is missing, or is not to be used."""
        if not provider.is_hosted:
            if self._llm is None:
                raise LeftOut("this installation has no model of its own")
            return SelfHosted(self._llm, name=provider.name, model=provider.model)
        return _hosted(provider, self._address(provider), self._key(provider), self._settings)

    def _key(self, provider: Provider) -> str:
        if provider.api_key_env is None:
            return ""
        key = self._environment.api_key(provider.api_key_env)
        if key is None:
            raise LeftOut(f"{provider.api_key_env} is not set")
        return key

    def _address(self, provider: Provider) -> str:
        url = provider.base_url
        if provider.base_url_env:
            url = self._environment.address(provider.base_url_env)
        if url is None and provider.kind == "anthropic":
            url = anthropic.BASE_URL
        if url is None:
            raise LeftOut(f"{provider.base_url_env} is not set")
        if is_plain(url) and not self._local:
            raise LeftOut("its address is plain HTTP")
        return url


def _hosted(provider: Provider, url: str, key: str, settings: LlmSettings) -> ChatProvider:
    wait = settings.connect_timeout_s
    match provider.kind:
        case "anthropic":
            return Anthropic(
                provider.name,
                base_url=url,
                api_key=key,
                model=provider.model,
                max_tokens=settings.max_answer_tokens,
                connect_timeout_s=wait,
            )
        case "azure_openai":
            return azure(
                provider.name,
                base_url=url,
                api_key=key,
                deployment=provider.deployment or provider.model,
                api_version=provider.api_version or AZURE_DIALECT,
                connect_timeout_s=wait,
            )
    return openai(provider.name, base_url=url, api_key=key, model=provider.model, connect_timeout_s=wait)


def _route(route: RouteSettings, links: Mapping[str, Link]) -> Route:
    """What can be asked from here; without any weight left, the order counts."""
    there = [i for i, name in enumerate(route.providers) if name in links]
    weights = [route.weights[i] for i in there] if route.weights else []
    return Route(route.name, [links[route.providers[i]] for i in there], weights)


def tokenizer_folder(profile: Profile, environment: Environment) -> Path | None:
    """Where the self-hosted model's own tokenizer lies, if it lies on this machine."""
    engine = profile.llm.engine
    if engine is None:
        return None
    kind, _, name = engine.source.partition(":")
    return environment.models / name if kind == "prepared" else Path(engine.source)
