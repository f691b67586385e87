"""From a profile and an environment to the providers that answer."""

import pytest

from config import environment, profile
from config.profile import LlmSettings
from deployments.providers import Providers

KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "ANTHROPIC_API_KEY")


def catalogue(settings: LlmSettings) -> list[str]:
    prod = profile.load("prod").model_copy(update={"llm": settings})
    return Providers(prod, environment.read(), None).catalogue().names()


def test_a_provider_without_its_key_or_address_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    settings = profile.load("prod").llm
    assert catalogue(settings) == []
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    assert catalogue(settings) == []
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://desk.openai.azure.com")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    assert catalogue(settings) == ["gpt-4.1-mini", "claude-haiku-4-5"]


def routed(**route: object) -> LlmSettings:
    settings = profile.load("prod").llm.model_dump()
    return LlmSettings.model_validate(settings | {"routes": [{"name": "cheap", **route}]})


def test_a_route_keeps_the_providers_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    settings = routed(providers=["openai", "anthropic"], weights=[3, 1])
    assert catalogue(settings) == ["cheap", "claude-haiku-4-5"]
    assert catalogue(routed(providers=["openai"])) == ["claude-haiku-4-5"]


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ({"providers": ["nobody"]}, "no provider nobody"),
        ({"providers": ["openai"], "weights": [1, 2]}, "as many weights"),
        ({"providers": ["openai"], "weights": [-1]}, "greater than or equal to 0"),
    ],
)
def test_a_route_that_leads_nowhere_is_refused(route: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        routed(**route)
