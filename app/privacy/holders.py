"""Who has something about a person: every slice that does, in the order in which it is removed."""

from app.auth import people as auth
from app.cases import people as cases
from app.chat import people as chat
from app.llm import people as llm
from app.routing import people as routing
from app.sla import people as sla
from app.tickets import people as tickets
from app.triage import people as triage
from app.usage import people as usage

HOLDERS = tuple(slice_.HOLDINGS for slice_ in (cases, triage, sla, tickets, routing, usage, llm, chat, auth))
"""Cases before tickets: a ticket that is closed would confirm its case."""
