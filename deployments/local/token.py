"""`make -s token ROLE=agent`: an access token of a demo user, for curl and scripts. Local profile only."""

import asyncio
import sys

from app.auth.tokens import AccessTokens
from config import environment, safety
from config.embedded.stores import Stores, unnamed
from config.environment import Environment
from config.keyring import FixedKeys, Keyring
from config.profile import load
from deployments.local import demo


def main(role: str) -> int:
    env = environment.read()
    if role not in demo.ROLES.values():
        print(f"no role {role!r}; there are: {', '.join(demo.ROLES.values())}", file=sys.stderr)
        return 2
    stores = Stores(env.home, wanted=unnamed(env))
    with stores as addresses:
        dsn = addresses.database_url or env.require_database_url()
        who = asyncio.run(demo.identity(dsn, role))
    if who is None:
        print("there are no demo users yet: run `make serve` first", file=sys.stderr)
        return 1
    print(AccessTokens(keys(env, stores), load("local").auth.access_ttl_s).issue(who))
    return 0


def keys(env: Environment, stores: Stores) -> Keyring:
    """What the service of this home signs with."""
    given = env.secret_key or env.secret_key_file
    return safety.signing_keys(env) if given else FixedKeys.of(stores.secret_key())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "customer"))
