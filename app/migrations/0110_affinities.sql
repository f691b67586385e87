-- Which articles solve which questions, as it was learnt from cases (models/retrieval/affinity.py): a vector and a
-- number for each article, in the order of `articles`, for one embedder's copy of the cases. `basis` is a hash of the
-- links it was learnt from: where they are not the same any more, it is learnt anew.
CREATE TABLE affinities (
    collection text PRIMARY KEY,
    version uuid NOT NULL DEFAULT uuidv7(),
    articles uuid[] NOT NULL,
    vectors bytea NOT NULL,
    biases bytea NOT NULL,
    cases uuid[] NOT NULL,
    basis text NOT NULL,
    figures jsonb NOT NULL DEFAULT '{}',
    learnt_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO schedules (kind, every) VALUES ('renew_affinity', interval '10 minutes');
