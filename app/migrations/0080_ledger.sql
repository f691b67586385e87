-- What became of every inquiry: of a conversation, a ticket, or a conversation and the ticket it was handed over
-- to, which counts once and goes by the conversation's id. Nothing here names a person or says what they wrote,
-- and nothing refers to what retention deletes: the figures outlive the texts.
CREATE TABLE ledger_entries (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    inquiry_id uuid NOT NULL,
    ticket_id uuid,
    kind text NOT NULL CHECK (kind IN (
        'opened', 'handed_over', 'classified', 'replied', 'rated',
        'resolved_by_assistant', 'resolved_by_agent', 'abandoned', 'reopened', 'merged')),
    reason text NOT NULL CHECK (reason ~ '^[a-z_]{1,40}$'),
    valid_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    revokes uuid REFERENCES ledger_entries,
    queue text,
    intent text,
    language text,
    agent_id uuid,
    value double precision,
    CHECK (valid_at <= recorded_at),
    CHECK (revokes IS NULL OR revokes <> id)
);
CREATE INDEX ledger_entries_inquiry ON ledger_entries (inquiry_id, seq);
CREATE INDEX ledger_entries_ticket ON ledger_entries (ticket_id) WHERE ticket_id IS NOT NULL;
CREATE UNIQUE INDEX ledger_entries_revoked ON ledger_entries (revokes) WHERE revokes IS NOT NULL;
COMMENT ON TABLE ledger_entries IS 'What became of every inquiry, append-only: when it was so (valid_at) and since when that is known (recorded_at). What turned out wrong is revoked by a later entry.';
COMMENT ON COLUMN ledger_entries.seq IS 'the order of an inquiry''s entries; whoever writes them holds its conversation or ticket locked';
COMMENT ON COLUMN ledger_entries.value IS 'of replied: seconds since the ticket was made; of rated: the score';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Where each conversation stands until its silence is taken for an end, and what its answers came to.
CREATE TABLE ledger_conversations (
    inquiry_id uuid PRIMARY KEY,
    standing text NOT NULL CHECK (standing IN (
        'asked', 'answered', 'abstained', 'degraded', 'interrupted', 'unhelpful', 'handed_over')),
    answer_id uuid,
    since timestamptz NOT NULL,
    due_at timestamptz,
    answers integer NOT NULL DEFAULT 0,
    tokens bigint NOT NULL DEFAULT 0,
    cost_usd double precision NOT NULL DEFAULT 0
);
CREATE INDEX ledger_conversations_due ON ledger_conversations (due_at) WHERE due_at IS NOT NULL;
COMMENT ON TABLE ledger_conversations IS 'What each conversation waits for, and the tokens and cost of its answers; kept when the conversation is deleted.';

-- What there was before the ledger, as well as it can be told.
INSERT INTO ledger_entries (inquiry_id, kind, reason, valid_at, recorded_at)
SELECT conversation_id, 'opened', 'asked', min(created_at), now() FROM messages
 WHERE author = 'customer' GROUP BY conversation_id;

INSERT INTO ledger_entries (inquiry_id, ticket_id, kind, reason, valid_at, recorded_at, queue, intent, language)
SELECT coalesce(c.id, t.id), t.id, CASE WHEN c.id IS NULL THEN 'opened' ELSE 'handed_over' END,
       CASE WHEN c.id IS NULL THEN 'filed' ELSE 'before_ledger' END,
       t.created_at, now(), q.name, t.intent, t.language
  FROM tickets t LEFT JOIN conversations c ON c.ticket_id = t.id LEFT JOIN queues q ON q.id = t.queue_id;

INSERT INTO ledger_entries
       (inquiry_id, ticket_id, kind, reason, valid_at, recorded_at, queue, intent, language, agent_id, value)
SELECT coalesce(c.id, t.id), t.id, 'replied', 'before_ledger', m.created_at, now(), q.name, t.intent, t.language,
       m.author_id, extract(epoch FROM m.created_at - t.created_at)::float8
  FROM tickets t LEFT JOIN conversations c ON c.ticket_id = t.id LEFT JOIN queues q ON q.id = t.queue_id
  JOIN LATERAL (SELECT author_id, created_at FROM ticket_messages
                 WHERE ticket_id = t.id AND NOT internal AND author_id <> t.customer_id
                 ORDER BY id LIMIT 1) m ON true;

INSERT INTO ledger_entries
       (inquiry_id, ticket_id, kind, reason, valid_at, recorded_at, queue, intent, language, agent_id)
SELECT coalesce(c.id, t.id), t.id, CASE WHEN g.ticket_id IS NULL THEN 'resolved_by_agent' ELSE 'merged' END,
       'before_ledger', t.updated_at, now(), q.name, t.intent, t.language, t.assignee_id
  FROM tickets t LEFT JOIN conversations c ON c.ticket_id = t.id LEFT JOIN queues q ON q.id = t.queue_id
  LEFT JOIN ticket_merges g ON g.ticket_id = t.id
 WHERE t.status IN ('resolved', 'closed');

INSERT INTO ledger_entries
       (inquiry_id, ticket_id, kind, reason, valid_at, recorded_at, queue, intent, language, value)
SELECT coalesce(c.id, t.id), t.id, 'rated', 'before_ledger', s.updated_at, now(), q.name, t.intent, t.language, s.score
  FROM ticket_csat s JOIN tickets t ON t.id = s.ticket_id
  LEFT JOIN conversations c ON c.ticket_id = t.id LEFT JOIN queues q ON q.id = t.queue_id;

INSERT INTO ledger_conversations (inquiry_id, standing, answer_id, since, due_at, answers, tokens, cost_usd)
SELECT c.id,
       CASE WHEN c.ticket_id IS NOT NULL THEN 'handed_over' WHEN m.author = 'customer' THEN 'asked'
            WHEN f.helpful IS FALSE THEN 'unhelpful' ELSE coalesce(m.outcome, 'answered') END,
       CASE WHEN m.author = 'assistant' THEN m.id END, m.created_at,
       CASE WHEN c.ticket_id IS NULL THEN m.created_at + interval '72 hours' END,
       coalesce(r.answers, 0), coalesce(r.tokens, 0), coalesce(r.cost_usd, 0)
  FROM conversations c
  JOIN LATERAL (SELECT id, author, outcome, created_at FROM messages
                 WHERE conversation_id = c.id ORDER BY id DESC LIMIT 1) m ON true
  LEFT JOIN message_feedback f ON f.message_id = m.id
  LEFT JOIN LATERAL (SELECT count(*) AS answers, sum(a.prompt_tokens + a.completion_tokens) AS tokens,
                            sum(a.cost_usd) AS cost_usd
                       FROM ai_responses a JOIN messages x ON x.id = a.message_id
                      WHERE x.conversation_id = c.id) r ON true
 WHERE EXISTS (SELECT FROM messages x WHERE x.conversation_id = c.id AND x.author = 'customer');

INSERT INTO schedules (kind, every) VALUES ('settle_conversations', interval '5 minutes');
