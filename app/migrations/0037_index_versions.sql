-- building -> ready (or refused by the gate) -> live -> standby (what a roll-back returns to) -> gone.
ALTER TABLE indexes
    ADD COLUMN status text NOT NULL DEFAULT 'live',
    ADD COLUMN gate jsonb,
    ADD COLUMN error text,
    ADD COLUMN promoted_at timestamptz;
ALTER TABLE indexes
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT indexes_status
        CHECK (status IN ('building', 'ready', 'refused', 'live', 'standby')),
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT indexes_live CHECK (active = (status = 'live'));

-- Which state of an article each index holds: what is not in here as it is in `articles` has to be indexed.
-- `attributes` are what the vector store repeats beside each vector.
CREATE TABLE indexed_articles (
    index_name text NOT NULL REFERENCES indexes ON DELETE CASCADE,
    article_id uuid NOT NULL REFERENCES articles ON DELETE CASCADE,
    content_hash bytea NOT NULL,
    attributes jsonb NOT NULL,
    PRIMARY KEY (index_name, article_id)
);
CREATE INDEX indexed_articles_article ON indexed_articles (article_id);
INSERT INTO indexed_articles (index_name, article_id, content_hash, attributes)
SELECT DISTINCT c.index_name, a.id, a.content_hash,
       jsonb_build_array(a.audiences, a.products, a.topics, a.language)
  FROM chunks c JOIN articles a ON a.id = c.article_id;

-- Questions whose articles are known: an index must answer them no worse than the one it replaces.
CREATE TABLE gate_questions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    question text NOT NULL,
    articles uuid[] NOT NULL CHECK (cardinality(articles) > 0),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX gate_questions_question ON gate_questions (md5(question));
