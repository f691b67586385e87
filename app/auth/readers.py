"""What a person may read, as PostgreSQL has it at this moment: a token says only who they are.

A token lives for minutes; who was put out of a team, given another role or switched off is so at once.
"""

from typing import Final
from uuid import UUID

from app.auth import repository
from app.auth.schemas import Identity, Role, Team
from app.db import Connection
from app.errors import Forbidden, Invalid


class TeamsAreKeptBySupervisors(Forbidden):
    """Only supervisors and administrators may see and change the teams."""


class MemberUnknown(Invalid):
    """One of these members is no user."""


AUDIENCES: Final[dict[Role, frozenset[str]]] = {
    "customer": frozenset({"public", "customers"}),
    "agent": frozenset({"public", "customers", "agents"}),
    "supervisor": frozenset({"public", "customers", "agents", "supervisors"}),
    "admin": frozenset({"public", "customers", "agents", "supervisors"}),
}
"""`supervisors` stands on whatever is for teams only: those who keep the library see all of it."""


async def audiences(conn: Connection, who: Identity) -> frozenset[str]:
    """What has one of these audiences `who` may read: articles, cases, answers made of them."""
    found = await repository.role_and_teams(conn, who.id)
    if found is None:
        return frozenset()
    role, teams = found
    return AUDIENCES[role] | {f"team:{team}" for team in teams}


async def teams(conn: Connection, who: Identity) -> list[Team]:
    _require_keeper(who)
    return [Team(team=name, members=members) for name, members in (await repository.teams(conn)).items()]


async def set_team(conn: Connection, who: Identity, team: str, members: list[UUID]) -> Team:
    """Make exactly these people the team; an empty team is gone."""
    _require_keeper(who)
    wanted = sorted(set(members))
    if await repository.set_team(conn, team, wanted) != len(wanted):
        raise MemberUnknown
    return Team(team=team, members=wanted)


def _require_keeper(who: Identity) -> None:
    if who.role not in {"supervisor", "admin"}:
        raise TeamsAreKeptBySupervisors
