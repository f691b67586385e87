-- A clock is one row that runs on; what became of each promise stands here, also of next responses long past.
-- A promise that was kept and whose ticket is reopened is open again.
CREATE TABLE sla_results (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    ticket_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('first_response', 'next_response', 'resolution')),
    started_at timestamptz NOT NULL,
    met boolean NOT NULL,
    decided_at timestamptz NOT NULL,
    UNIQUE (ticket_id, kind, started_at)
);
COMMENT ON TABLE sla_results IS 'Promises kept and broken, as they were decided; kept when the ticket is deleted.';

INSERT INTO sla_results (ticket_id, kind, started_at, met, decided_at)
SELECT ticket_id, kind, started_at, warned < 100,
       CASE WHEN warned < 100 THEN ended_at ELSE coalesce(ended_at, least(target_at, now()), now()) END
  FROM sla_clocks WHERE warned >= 100 OR ended_at IS NOT NULL;
