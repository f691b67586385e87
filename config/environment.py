"""What comes from the environment: addresses, secrets, folders, ports. Read on the process that needs it."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr

from config.keyring import HOME_FILE

CHECKOUT = Path(__file__).parents[1]


class MissingSetting(ValueError):
    """The environment lacks an address or a secret that the profile needs."""


class InvalidSetting(ValueError):
    """A variable of the environment has a value that cannot be used."""


class Environment(BaseModel):
    """The environment, typed. Secrets do not print themselves."""

    model_config = ConfigDict(frozen=True)

    home: Path
    models: Path
    artefacts: str
    port: int
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    milvus_uri: SecretStr | None = None  # may carry a password
    secret_key: SecretStr | None = None
    events_url: SecretStr | None = None
    secret_key_file: Path | None = None
    key_encryption_key: SecretStr | None = None
    key_encryption_key_file: Path | None = None

    def require_database_url(self) -> str:
        return self._require(self.database_url, "DATABASE_URL")

    def require_redis_url(self) -> str:
        return self._require(self.redis_url, "REDIS_URL")

    def require_milvus_uri(self) -> str:
        return self._require(self.milvus_uri, "MILVUS_URI")

    def require_secret_key(self) -> str:
        return self._require(self.secret_key, "ESERVICE_SECRET_KEY")

    @property
    def home_keys(self) -> Path:
        """Where the embedded stores of this home keep its key-encryption keys."""
        return self.home / HOME_FILE

    def require_events_url(self) -> str:
        return self._require(self.events_url, "EVENTS_URL")

    @staticmethod
    def api_key(name: str) -> str | None:
        """The key of a hosted provider, read where and when it is needed."""
        return os.environ.get(name) or None

    @staticmethod
    def address(name: str) -> str | None:
        """The address of a hosted provider that differs from one installation to the next."""
        return os.environ.get(name) or None

    @staticmethod
    def _require(value: SecretStr | None, name: str) -> str:
        if value is None or not value.get_secret_value():
            raise MissingSetting(f"{name} is not set")
        return value.get_secret_value()


def read(environ: Mapping[str, str] = os.environ) -> Environment:
    """The environment as it is now. `ESERVICE_HOME` and `ESERVICE_MODELS` are made absolute."""

    def secret(name: str) -> SecretStr | None:
        return SecretStr(environ[name]) if environ.get(name) else None

    def file(name: str) -> Path | None:
        return Path(environ[name]).absolute() if environ.get(name) else None

    home = Path(environ.get("ESERVICE_HOME") or CHECKOUT / ".eservice").absolute()
    return Environment(
        home=home,
        models=Path(environ.get("ESERVICE_MODELS") or CHECKOUT / ".eservice" / "models").absolute(),
        artefacts=_url(environ.get("ESERVICE_ARTEFACTS") or str(home / "artefacts")),
        port=_port(environ.get("ESERVICE_PORT") or "8000"),
        database_url=secret("DATABASE_URL"),
        redis_url=secret("REDIS_URL"),
        milvus_uri=secret("MILVUS_URI"),
        secret_key=secret("ESERVICE_SECRET_KEY"),
        events_url=secret("EVENTS_URL"),
        secret_key_file=file("ESERVICE_SECRET_KEY_FILE"),
        key_encryption_key=secret("ESERVICE_KEY_ENCRYPTION_KEY"),
        key_encryption_key_file=file("ESERVICE_KEY_ENCRYPTION_KEY_FILE"),
    )


def _url(text: str) -> str:
    """A URL as it is, a folder made absolute."""
    return text if "://" in text else str(Path(text).absolute())


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise InvalidSetting(f"ESERVICE_PORT is {text!r}; it must be a number from 1 to 65535")
    return int(text)
