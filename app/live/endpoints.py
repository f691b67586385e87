"""/api/v1/events: everything that happens at the desk, as it happens. For agents and above."""

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from app.auth.access import Staff
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.events import streams
from app.events.streams import STREAM, LastEventId
from app.state import Current

router = APIRouter(
    prefix="/api/v1/events",
    tags=["events"],
    responses=documented(Unauthorised, Forbidden, Invalid, Unavailable),
)


@router.get("", response_class=StreamingResponse, responses=STREAM)
async def events(who: Staff, state: Current, last_event_id: LastEventId = None) -> StreamingResponse:
    """Server-sent events named `aggregate.kind`, from now on or from `Last-Event-ID` on.

    `reset` says that some were missed: read anew what is shown. The stream ends after a few minutes;
    come back with the last id.
    """
    feed, settings = state.feed, state.profile.events
    return await streams.response(feed, settings, who.id, last_event_id, key=who.key_id)
