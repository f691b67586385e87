-- A question that was solved, its personal data masked, and the articles that solved it. It counts once
-- `confirmed_at` is set, for readers who share an audience with it. `indexed_in` names the collection of the
-- vector store that has it: what that store lost is noticed, and written again.
CREATE TABLE solved_cases (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    ticket_id uuid UNIQUE REFERENCES tickets ON DELETE CASCADE,
    message_id uuid UNIQUE REFERENCES messages ON DELETE CASCADE,
    imported text UNIQUE,
    customer_id uuid REFERENCES users ON DELETE CASCADE,
    question text NOT NULL,
    audiences text[] NOT NULL,
    confirmed_at timestamptz,
    indexed_in text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(ticket_id, message_id, imported) = 1)
);
CREATE INDEX solved_cases_customer ON solved_cases (customer_id);
CREATE INDEX solved_cases_confirmed ON solved_cases (id DESC) WHERE confirmed_at IS NOT NULL;

CREATE TABLE case_links (
    case_id uuid NOT NULL REFERENCES solved_cases ON DELETE CASCADE,
    article_id uuid NOT NULL REFERENCES articles ON DELETE CASCADE,
    via text NOT NULL CHECK (via IN ('citation', 'agent', 'suggestion', 'import')),
    linked_by uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    revoked_by uuid REFERENCES users ON DELETE SET NULL,
    PRIMARY KEY (case_id, article_id)
);
CREATE INDEX case_links_article ON case_links (article_id) WHERE revoked_at IS NULL;

-- How articles and cases are mixed, learnt from the cases themselves: one row each time it was learnt.
CREATE TABLE fusion_versions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    index_name text NOT NULL,
    weights jsonb NOT NULL,
    figures jsonb NOT NULL DEFAULT '{}',
    active boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX fusion_versions_one_active ON fusion_versions (index_name) WHERE active;

INSERT INTO schedules (kind, every) VALUES ('sync_cases', interval '15 seconds');
