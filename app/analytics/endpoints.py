"""/api/v1/analytics: reports as JSON and CSV. For supervisors and administrators."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Literal, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from app import db
from app.analytics import service, spreadsheets
from app.analytics.schemas import AgentRow, By, Inquiry, Label, Report, Selection, SpendBy, zones
from app.analytics.service import (
    AGENTS,
    BACKLOG,
    KINDS,
    SPEND,
    InquiryNotFound,
    Kind,
    UnknownTimeZone,
)
from app.auth.access import SignedIn
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.moments import Moment
from app.state import Current, Transaction
from app.tickets.schemas import IntentName, QueueName

router = APIRouter(
    prefix="/api/v1/analytics",
    tags=["analytics"],
    responses=documented(Unauthorised, Forbidden, Invalid, Unavailable),
)

CSV = "text/csv; charset=utf-8; header=present"
USUAL_DAYS = 30
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)

First: TypeAlias = Annotated[
    date | None,
    Query(alias="from", ge=EARLIEST, le=LATEST, description="the first day; by default there are 30 of them"),
]
Last: TypeAlias = Annotated[
    date | None,
    Query(alias="to", ge=EARLIEST, le=LATEST, description="the last day, included; by default today"),
]
Zone: TypeAlias = Annotated[str, Query(max_length=64, description="an IANA time zone; its days count")]
KnownAt: TypeAlias = Annotated[
    Moment | None, Query(description="count as it was known then, instead of as it is known now")
]
Language: TypeAlias = Annotated[str | None, Query(min_length=2, max_length=10, pattern="^[a-zA-Z-]+$")]
Format: TypeAlias = Annotated[
    Literal["json", "csv"] | None, Query(alias="format", description="instead of an `Accept` header")
]
Groups = Query(max_length=6, description="group by it; repeat it for combinations")


async def period(
    first: First = None, last: Last = None, tz: Zone = "UTC", known_at: KnownAt = None
) -> Selection:
    if tz not in zones():
        raise UnknownTimeZone(param="tz")
    last = last or datetime.now(ZoneInfo(tz)).date()
    first = first or last - timedelta(days=USUAL_DAYS - 1)
    return Selection(first=first, last=last, tz=tz, known_at=known_at)


async def labelled(
    within: Annotated[Selection, Depends(period)],
    queue: Annotated[QueueName | None, Query(description="of this queue only")] = None,
    intent: Annotated[IntentName | None, Query(description="of this intent only")] = None,
    language: Language = None,
) -> Selection:
    return within.model_copy(update={"queue": queue, "intent": intent, "language": language})


Labelled: TypeAlias = Annotated[Selection, Depends(labelled)]


async def by_any(within: Labelled, by: Annotated[list[By], Groups] = []) -> Selection:  # noqa: B006
    return _by(within, by)


async def by_day(
    within: Labelled,
    by: Annotated[list[Literal["day"] | Label], Groups] = [],  # noqa: B006
) -> Selection:
    return _by(within, by)


async def by_model(
    within: Annotated[Selection, Depends(period)],
    by: Annotated[list[SpendBy], Groups] = [],  # noqa: B006
) -> Selection:
    return _by(within, by)


def _by(within: Selection, by: Sequence[str]) -> Selection:
    return within.model_copy(update={"by": tuple(dict.fromkeys(by))})


async def wants_csv(request: Request, form: Format = None) -> bool:
    accepted = request.headers.get("accept", "")
    return form == "csv" or (form is None and "text/csv" in accepted and "application/json" not in accepted)


WantsCsv: TypeAlias = Annotated[bool, Depends(wants_csv)]


def _handler(
    kind: Kind, selection: Callable[..., Awaitable[Selection]]
) -> Callable[..., Awaitable[Response]]:
    async def handle(
        who: SignedIn, state: Current, wish: Annotated[Selection, Depends(selection)], as_csv: WantsCsv
    ) -> Response:
        if as_csv:
            header = [*wish.by, *(measure.name for measure in kind.measures)]
            return await _file(kind, wish, header, service.export(state, who, kind, wish))
        async with db.transaction(state.pool) as conn:
            return _json(await service.report(conn, who, kind, wish))

    return handle


async def agents(who: SignedIn, conn: Transaction, wish: Labelled, as_csv: WantsCsv) -> Response:
    report = await service.agents(conn, who, wish)
    if as_csv:
        return await _file(AGENTS, wish, list(AgentRow.model_fields), service.agent_rows(report))
    return _json(report)


def _json(report: Report) -> Response:
    content = report.model_dump_json(by_alias=True, exclude_unset=True)
    return Response(content.encode(), media_type="application/json")


async def _file(
    kind: Kind, wish: Selection, header: Sequence[str], rows: AsyncIterator[Sequence[object]]
) -> Response:
    body = await spreadsheets.written(header, rows)
    headers = {"Content-Disposition": f'attachment; filename="{kind.name}-{wish.first}-{wish.last}.csv"'}
    return StreamingResponse(spreadsheets.chunks(body), media_type=CSV, headers=headers)


def _add(kind: Kind, handler: Callable[..., Awaitable[Response]]) -> None:
    router.add_api_route(
        f"/{kind.name}",
        handler,
        name=kind.name,
        description=kind.about,
        response_model=None,
        responses={200: {"model": kind.model, "content": {"text/csv": {"schema": {"type": "string"}}}}},
    )


for report_kind in KINDS:
    _add(report_kind, _handler(report_kind, by_any))
_add(BACKLOG, _handler(BACKLOG, by_day))
_add(SPEND, _handler(SPEND, by_model))
_add(AGENTS, agents)


@router.get("/inquiries/{inquiry_id}", responses=documented(InquiryNotFound))
async def inquiry(inquiry_id: UUID, who: SignedIn, conn: Transaction) -> Inquiry:
    """All that the ledger knows of a conversation or ticket: why it counts as it does."""
    return await service.inquiry(conn, who, inquiry_id)
