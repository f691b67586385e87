"""Moments on the wire: those that every time zone and calendar on the way can reckon with."""

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, AwareDatetime

EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _reckonable(moment: datetime) -> datetime:
    """Python and asyncpg fail on the first and the last hours that a datetime can name."""
    if not EARLIEST <= moment <= LATEST:
        raise ValueError("must lie between the years 1900 and 9999, in UTC")
    return moment


Moment: TypeAlias = Annotated[AwareDatetime, AfterValidator(_reckonable)]
