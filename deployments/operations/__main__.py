"""`python -m deployments.operations COMMAND`: on the stores the environment names, else on this home's."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from app.db import LOST, MigrationError
from app.errors import ServiceError
from config import environment
from config.embedded.child import StoreFailed
from config.embedded.stores import Stores, unnamed
from config.keyring import UnusableKeys
from config.keys import SPREAD_S
from config.profile import ProfileError, load
from deployments.operations import audit, backup, database, jobs, keys, people, providers, webhooks
from monitoring import tracing

EXPECTED = (
    backup.BackupFailed,
    environment.InvalidSetting,
    environment.MissingSetting,
    MigrationError,
    ProfileError,
    ServiceError,
    StoreFailed,
    UnusableKeys,
    *LOST,
)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    tracing.set_up("eservice-operations", str(os.getpid()), os.environ)
    try:
        with tracing.span(f"operation {options.command}"):
            return _run(options)
    except EXPECTED as error:
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    finally:
        tracing.shut_down()
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deployments.operations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    forward = commands.add_parser("migrate", help="apply this code's migrations to the database")
    forward.add_argument("--within", type=float, default=0, metavar="SECONDS", help="wait for PostgreSQL")
    save = commands.add_parser("backup", help="write the whole database to a file")
    save.add_argument("file", type=Path)
    load_ = commands.add_parser("restore", help="make an empty database what a backup holds, then migrate it")
    load_.add_argument("file", type=Path)
    load_.add_argument("--replace", action="store_true", help="delete what is in the database first")
    first = commands.add_parser(
        "administrator", help="make somebody one, by a new password that is shown once"
    )
    first.add_argument("email")
    commands.add_parser("providers", help="ask every LLM provider for one token")
    kek = commands.add_parser("keys", help="the key-encryption keys, what they wrap, what is not sealed yet")
    wish = kek.add_mutually_exclusive_group()
    wish.add_argument("--rotate", action="store_true", help="add a key, used when every replica has read it")
    wish.add_argument("--now", action="store_true", help="wrap and seal at once what the job would by and by")
    wish.add_argument("--prune", action="store_true", help="forget older keys that wrap nothing any more")
    kek.add_argument("--after", type=float, default=SPREAD_S, metavar="SECONDS", help="with --rotate")
    dead = commands.add_parser("jobs", help="list the jobs that were given up")
    dead.add_argument("--replay", metavar="ID", help="queue one of them again, or `all`")
    chain = commands.add_parser("audit", help="check the audit's chain, or print its end")
    steps = chain.add_subparsers(dest="step", required=True, metavar="STEP")
    verify = steps.add_parser("verify", help="check every entry and name the first that is broken")
    verify.add_argument(
        "--anchor", action="append", default=[], metavar="HEAD", help="a kept head, or a file of some"
    )
    verify.add_argument("--json", type=Path, metavar="FILE", help="write what was found there")
    steps.add_parser("head", help="print the end of the chain in one word, to be kept elsewhere")
    hooks = commands.add_parser("webhooks", help="list the webhooks and how they fare")
    hooks.add_argument("--replay", metavar="ID", help="send one of them again what it did not take, or `all`")
    hooks.add_argument("--since", metavar="TIME", help="from when on, as 2026-01-31T12:00:00Z")
    return parser


def _run(options: argparse.Namespace) -> int:
    env = environment.read()
    profile = load(os.environ.get("ESERVICE_PROFILE") or "local")
    if options.command == "providers":
        return asyncio.run(providers.check(profile, env))
    with Stores(env.home, wanted=unnamed(env) & {"postgres"}) as addresses:
        dsn = addresses.database_url or env.require_database_url()
        match options.command:
            case "migrate":
                return asyncio.run(database.migrate(dsn, options.within))
            case "backup":
                return asyncio.run(backup.save(dsn, options.file))
            case "restore":
                return asyncio.run(backup.restore(dsn, options.file, replace=options.replace))
            case "administrator":
                return asyncio.run(people.administrator(dsn, options.email))
            case "audit" if options.step == "verify":
                return asyncio.run(audit.verify(dsn, options.anchor, options.json))
            case "audit":
                return asyncio.run(audit.head(dsn))
            case "keys":
                return asyncio.run(_keys(dsn, env, options))
            case "webhooks":
                return asyncio.run(webhooks.run(dsn, profile.webhooks, options.replay, options.since))
            case _:
                return asyncio.run(jobs.dead(dsn, options.replay))


async def _keys(dsn: str, env: environment.Environment, options: argparse.Namespace) -> int:
    if options.rotate:
        return await keys.rotate(dsn, env, options.after)
    if options.now:
        return await keys.reseal(dsn, env)
    return await (keys.prune(dsn, env) if options.prune else keys.show(dsn, env))


if __name__ == "__main__":
    sys.exit(main())
