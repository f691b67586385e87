"""A configuration that is not safe outside the local profile does not start, and says why."""

import secrets
from pathlib import Path
from typing import Any

import pytest

from config import environment, keys, safety
from config.embedded import secrets_file
from config.profile import Profile, load

GOOD = secrets.token_urlsafe(48)
KEK = secrets.token_urlsafe(48)
BOTH = {"ESERVICE_SECRET_KEY": GOOD, "ESERVICE_KEY_ENCRYPTION_KEY": KEK}


def refusal(profile: Profile, **environ: str) -> str:
    with pytest.raises(safety.InsecureConfiguration) as refused:
        safety.check(profile, environment.read(BOTH | environ))
    return str(refused.value)


def prod(section: str = "http", **changes: Any) -> Profile:
    profile = load("prod")
    changed = getattr(profile, section).model_copy(update=changes)
    return profile.model_copy(update={section: changed})


def test_every_profile_of_ours_is_safe_with_a_good_key() -> None:
    for name in ("local", "test", "prod"):
        safety.check(load(name), environment.read(BOTH))


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "ESERVICE_SECRET_KEY is not set"),
        ("short", "must have at least 32 characters"),
        (f"{GOOD},short", "must have at least 32 characters"),
        ("x" * 64, "has 1 different characters"),
        ("please-change-me-before-you-go-to-production", "contains 'change'"),
        ("my-very-own-Secret-with-many-letters-0123456789", "contains 'secret'"),
    ],
)
def test_secrets_that_are_none(secret: str, why: str) -> None:
    message = refusal(load("prod"), ESERVICE_SECRET_KEY=secret)
    assert why in message
    assert "`openssl rand -base64 48` makes one" in message
    assert secret not in message or not secret or secret == "short"


def test_the_local_profile_takes_any_long_key_but_no_short_one() -> None:
    safety.check(load("local"), environment.read({"ESERVICE_SECRET_KEY": "x" * 32}))
    assert "at least 32" in refusal(load("local"), ESERVICE_SECRET_KEY="short")


def test_a_key_file_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert "cannot be read" in refusal(load("prod"), ESERVICE_SECRET_KEY_FILE=str(file))
    file.write_text("{}")
    assert "is no key file" in refusal(load("prod"), ESERVICE_SECRET_KEY_FILE=str(file))
    file.unlink()
    keys.rotate(file)
    safety.check(load("prod"), environment.read(BOTH | {"ESERVICE_SECRET_KEY_FILE": str(file)}))


def test_key_encryption_keys(tmp_path: Path) -> None:
    """Missing, short, default-looking, unreadable, or the signing key once more."""
    assert "ESERVICE_KEY_ENCRYPTION_KEY is not set" in refusal(load("prod"), ESERVICE_KEY_ENCRYPTION_KEY="")
    assert "at least 32" in refusal(load("prod"), ESERVICE_KEY_ENCRYPTION_KEY="short")
    assert "looks like a default" in refusal(load("prod"), ESERVICE_KEY_ENCRYPTION_KEY="x" * 40)
    assert "is ESERVICE_SECRET_KEY" in refusal(load("prod"), ESERVICE_KEY_ENCRYPTION_KEY=f"{KEK},{GOOD}")
    file = tmp_path / "keys.json"
    assert "_FILE: " in refusal(load("prod"), ESERVICE_KEY_ENCRYPTION_KEY_FILE=str(file))
    keys.rotate(file)
    named = environment.read({"ESERVICE_SECRET_KEY": GOOD, "ESERVICE_KEY_ENCRYPTION_KEY_FILE": str(file)})
    safety.check(load("prod"), named)
    assert safety.key_encryption_keys(named).current().version == 1


def test_a_home_has_keys_of_its_own_and_none_are_made_on_the_way(tmp_path: Path) -> None:
    nothing = environment.read({"ESERVICE_HOME": str(tmp_path), "ESERVICE_SECRET_KEY": GOOD})
    safety.check(load("local"), nothing)
    with pytest.raises(environment.MissingSetting, match="ESERVICE_KEY_ENCRYPTION_KEY"):
        safety.key_encryption_keys(nothing)
    secrets_file.make_keys(tmp_path)
    first = safety.key_encryption_keys(nothing).current()
    secrets_file.make_keys(tmp_path)
    assert safety.key_encryption_keys(nothing).current() == first
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0


def test_open_cors_with_credentials() -> None:
    assert "name the origins" in refusal(prod(cors_origins=("*",), cors_credentials=True))
    assert "plain HTTP" in refusal(prod(cors_origins=("http://desk.example.com",)))
    safety.check(
        prod(cors_origins=("https://desk.example.com",), cors_credentials=True),
        environment.read(BOTH),
    )


def test_demo_users() -> None:
    assert "demo users are for the local profile" in refusal(prod("auth", demo_users=True))


def test_a_hosted_provider_over_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = load("prod").llm
    plain = llm.providers[1].model_copy(update={"base_url": "http://models.example.com/v1"})
    assert "'openai': http://models.example.com/v1 is plain HTTP" in refusal(
        prod("llm", providers=(llm.providers[0], plain))
    )
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://azure.example.com")
    assert "'azure'" in refusal(load("prod"))


def test_everything_wrong_is_named_at_once() -> None:
    message = refusal(prod("auth", demo_users=True), ESERVICE_SECRET_KEY="x" * 40)
    assert message.count("\n- ") == 2
