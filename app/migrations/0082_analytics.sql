-- What figures are counted from, as it was known at a moment: `at` is the time that a fact counts for.
--   opened      an inquiry began; ticket_at: since when people have it; ended_at: of its ending that stands
--   ended       its ending that stands; value: seconds from its beginning
--   resolution  a resolution, also one that was revoked because somebody came back (returned)
--   replied     an agent's first public reply; value: seconds since the ticket was made
--   rated       the customer's last rating of it
--   promise     a promise that was kept or broken
-- Bound to its tables when it is made (BEGIN ATOMIC), so that no search path can change what it reads.
CREATE FUNCTION analytics_facts_as_known(known timestamptz) RETURNS TABLE (
    kind text, key uuid, at timestamptz, queue text, intent text, language text, assisted boolean,
    handed_over boolean, ticket_at timestamptz, ended_at timestamptz, outcome text, reason text, returned boolean,
    clock text, met boolean, value double precision, tokens bigint, cost_usd double precision, agent_id uuid
) LANGUAGE sql STABLE BEGIN ATOMIC
WITH entries AS MATERIALIZED (
    SELECT * FROM ledger_entries e WHERE e.recorded_at <= known
), begun AS (
    SELECT e.inquiry_id, min(e.valid_at) FILTER (WHERE e.kind = 'opened') AS opened_at,
           bool_or(e.kind = 'opened' AND e.ticket_id IS NULL) AS assisted,
           bool_or(e.kind = 'handed_over') AS handed_over,
           min(e.valid_at) FILTER (WHERE e.ticket_id IS NOT NULL AND e.kind IN ('opened', 'handed_over')) AS ticket_at
      FROM entries e GROUP BY e.inquiry_id
), latest AS (
    SELECT DISTINCT ON (e.inquiry_id) e.inquiry_id, e.queue, e.intent, e.language
      FROM entries e ORDER BY e.inquiry_id, e.seq DESC
), state AS (
    SELECT DISTINCT ON (e.inquiry_id) e.inquiry_id, e.kind, e.reason, e.valid_at, e.agent_id
      FROM entries e
     WHERE e.kind IN ('opened', 'reopened', 'resolved_by_assistant', 'resolved_by_agent', 'abandoned', 'merged')
     ORDER BY e.inquiry_id, e.seq DESC
), inquiries AS MATERIALIZED (
    SELECT b.inquiry_id, b.opened_at, b.assisted, b.handed_over, b.ticket_at, l.queue, l.intent, l.language,
           s.kind IN ('resolved_by_assistant', 'resolved_by_agent', 'abandoned') AS ended,
           s.kind AS state, s.reason, s.valid_at AS state_at, s.agent_id
      FROM begun b JOIN latest l ON l.inquiry_id = b.inquiry_id JOIN state s ON s.inquiry_id = b.inquiry_id
     WHERE s.kind <> 'merged'
)
SELECT 'opened'::text, i.inquiry_id, i.opened_at, i.queue, i.intent, i.language, i.assisted, i.handed_over,
       i.ticket_at, CASE WHEN i.ended THEN i.state_at END, NULL::text, NULL::text, NULL::boolean,
       NULL::text, NULL::boolean, NULL::double precision, NULL::bigint, NULL::double precision, NULL::uuid
  FROM inquiries i
UNION ALL
SELECT 'ended', i.inquiry_id, i.state_at, i.queue, i.intent, i.language, i.assisted, i.handed_over,
       i.ticket_at, i.state_at, i.state, i.reason, NULL, NULL, NULL,
       extract(epoch FROM i.state_at - i.opened_at)::double precision,
       coalesce(c.tokens, 0), coalesce(c.cost_usd, 0), i.agent_id
  FROM inquiries i LEFT JOIN ledger_conversations c ON c.inquiry_id = i.inquiry_id WHERE i.ended
UNION ALL
SELECT 'resolution', e.id, e.valid_at, i.queue, i.intent, i.language, i.assisted, i.handed_over,
       i.ticket_at, NULL, e.kind, e.reason, r.id IS NOT NULL, NULL, NULL, NULL, NULL, NULL, e.agent_id
  FROM entries e JOIN inquiries i ON i.inquiry_id = e.inquiry_id LEFT JOIN entries r ON r.revokes = e.id
 WHERE e.kind IN ('resolved_by_assistant', 'resolved_by_agent')
   AND (r.id IS NULL OR r.kind = 'reopened' AND r.reason <> 'asked_on')
UNION ALL
SELECT 'replied', e.id, e.valid_at, i.queue, i.intent, i.language, i.assisted, i.handed_over,
       i.ticket_at, NULL, NULL, NULL, NULL, NULL, NULL, e.value, NULL, NULL, e.agent_id
  FROM entries e JOIN inquiries i ON i.inquiry_id = e.inquiry_id WHERE e.kind = 'replied'
UNION ALL
SELECT 'rated', e.id, e.valid_at, i.queue, i.intent, i.language, i.assisted, i.handed_over,
       i.ticket_at, NULL, NULL, NULL, NULL, NULL, NULL, e.value, NULL, NULL, NULL
  FROM (SELECT DISTINCT ON (e.inquiry_id) e.id, e.inquiry_id, e.valid_at, e.value
          FROM entries e WHERE e.kind = 'rated' ORDER BY e.inquiry_id, e.seq DESC) e
  JOIN inquiries i ON i.inquiry_id = e.inquiry_id
UNION ALL
SELECT 'promise', p.id, p.decided_at, i.queue, i.intent, i.language, i.assisted, i.handed_over,
       i.ticket_at, NULL, NULL, NULL, NULL, p.kind, p.met, NULL, NULL, NULL, NULL
  FROM sla_results p
  JOIN entries e ON e.ticket_id = p.ticket_id AND e.kind IN ('opened', 'handed_over')
  JOIN inquiries i ON i.inquiry_id = e.inquiry_id
 WHERE p.decided_at <= known;
END;

CREATE MATERIALIZED VIEW analytics_facts AS SELECT * FROM analytics_facts_as_known('infinity');
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX analytics_facts_key ON analytics_facts (kind, key);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX analytics_facts_at ON analytics_facts (at);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX analytics_facts_open ON analytics_facts (ticket_at) WHERE kind = 'opened' AND ended_at IS NULL;
COMMENT ON MATERIALIZED VIEW analytics_facts IS 'The facts as they are known now; refreshed by a job.';

-- By quarters of an hour: every time zone's days are made of them.
CREATE MATERIALIZED VIEW analytics_spend AS
SELECT date_bin('15 minutes', created_at, timestamptz '2000-01-01 00:00+00') AS at, source, model, provider,
       count(*) AS calls, sum(prompt_tokens)::bigint AS prompt_tokens,
       sum(completion_tokens)::bigint AS completion_tokens, sum(cost_usd) AS cost_usd
  FROM (SELECT created_at, 'assistant' AS source, model, provider, prompt_tokens, completion_tokens, cost_usd
          FROM ai_responses
        UNION ALL
        SELECT created_at, 'direct', model, provider, prompt_tokens, completion_tokens, cost_usd
          FROM llm_calls) AS calls
 GROUP BY 1, 2, 3, 4;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX analytics_spend_key ON analytics_spend (at, source, model, provider);
COMMENT ON MATERIALIZED VIEW analytics_spend IS 'Tokens and cost of all answers, by model; refreshed by a job.';

CREATE TABLE analytics_refreshes (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    refreshed_at timestamptz NOT NULL,
    figures jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE analytics_refreshes IS 'When the materialised views were last refreshed, and the key figures of the last 24 hours then.';
INSERT INTO analytics_refreshes (refreshed_at) VALUES (now());
INSERT INTO schedules (kind, every) VALUES ('refresh_analytics', interval '5 minutes');
