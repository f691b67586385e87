-- A cross-encoder that was trained on solved cases: where its files lie, what its scores weigh against fused
-- ones, and how it did on cases that are newer than what it learnt. At most one of them reranks.
CREATE TABLE reranker_versions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    artefact text NOT NULL UNIQUE,
    weight double precision NOT NULL CHECK (weight > 0 AND weight <= 1),
    max_tokens integer NOT NULL CHECK (max_tokens > 0),
    figures jsonb NOT NULL DEFAULT '{}',
    won boolean NOT NULL,
    active boolean NOT NULL DEFAULT false,
    promoted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX reranker_versions_one_active ON reranker_versions (active) WHERE active;
SELECT audit_table('reranker_versions', plain => '{artefact,figures}');
