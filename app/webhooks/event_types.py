"""What an endpoint can subscribe to: the kinds of domain events there are, by `aggregate.kind`."""

from collections.abc import Collection, Iterable, Mapping

PING = "webhook.pinged"
"""Goes to the one endpoint that it is about, whatever that subscribed to."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "agent": ("changed", "written"),
    "api_key": ("created", "revoked"),
    "conversation": ("handed_over",),
    "queue": ("fields_written", "written"),
    "routing_rule": ("dropped", "written"),
    "sla_calendar": ("written",),
    "sla_policy": ("written",),
    "ticket": (
        "absorbed",
        "article_linked",
        "article_unlinked",
        "assigned",
        "attached",
        "attached_internally",
        "changed",
        "created",
        "linked",
        "merged",
        "message_added",
        "note_added",
        "rated",
        "sla_breached",
        "sla_escalated",
        "sla_warning",
        "status_changed",
        "triaged",
        "unassigned",
        "unlinked",
        "waiting",
    ),
    "user": ("changed", "created", "erased", "erasure_asked", "password_changed", "written"),
    "webhook": ("changed", "created", "deleted", "replayed", "secret_rotated", "switched_off"),
}
"""A test holds it against what the code publishes."""

EVERYTHING = "*"
NAMES: tuple[str, ...] = tuple(f"{aggregate}.{kind}" for aggregate in KINDS for kind in KINDS[aggregate])
CHOICES = frozenset({EVERYTHING, *NAMES, *(f"{aggregate}.*" for aggregate in KINDS)})


def unknown(wanted: Iterable[str]) -> list[str]:
    """Those that nothing is ever published as."""
    return sorted(set(wanted) - CHOICES)


def wants(wanted: Collection[str], event_type: str) -> bool:
    """Whether a subscription to `wanted` covers events of this type."""
    if event_type == PING:
        return False
    return not {EVERYTHING, event_type, f"{event_type.partition('.')[0]}.*"}.isdisjoint(wanted)
