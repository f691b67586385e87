CREATE TABLE conversations (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    user_id uuid NOT NULL REFERENCES users,
    title text NOT NULL DEFAULT '',
    ticket_id uuid REFERENCES tickets,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX conversations_user ON conversations (user_id, id DESC);

CREATE TABLE messages (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    conversation_id uuid NOT NULL REFERENCES conversations ON DELETE CASCADE,
    author text NOT NULL CHECK (author IN ('customer', 'assistant', 'agent')),
    content text NOT NULL,
    citations jsonb NOT NULL DEFAULT '[]',
    outcome text CHECK (outcome IN ('answered', 'abstained', 'degraded', 'interrupted')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX messages_conversation ON messages (conversation_id, id);

CREATE TABLE message_feedback (
    message_id uuid PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
    helpful boolean NOT NULL,
    comment text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Every answer as it was made, for evaluation and replay; also those asked for under /v1.
CREATE TABLE ai_responses (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    message_id uuid REFERENCES messages ON DELETE CASCADE,
    user_id uuid REFERENCES users,
    prompt_version text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    question text NOT NULL,
    answer text NOT NULL,
    outcome text NOT NULL,
    passages jsonb NOT NULL,
    attempts jsonb NOT NULL,
    latency_ms jsonb NOT NULL,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    cost_usd double precision NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ai_responses_created ON ai_responses (created_at);
CREATE INDEX ai_responses_message ON ai_responses (message_id);
