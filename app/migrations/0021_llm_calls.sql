-- Every answer that a caller took straight from a model under /v1, without its text; the assistant's are kept in
-- `ai_responses`. Written in batches, see app/usage.
CREATE TABLE llm_calls (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    user_id uuid REFERENCES users ON DELETE SET NULL,
    asked text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    outcome text NOT NULL,
    streamed boolean NOT NULL,
    attempts jsonb NOT NULL,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    estimated boolean NOT NULL,
    cost_usd double precision NOT NULL,
    first_token_ms double precision,
    total_ms double precision NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX llm_calls_created ON llm_calls (created_at);
CREATE INDEX llm_calls_user ON llm_calls (user_id, created_at);
COMMENT ON COLUMN llm_calls.asked IS 'the model or route that the caller named';
