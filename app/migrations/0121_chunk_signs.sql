-- What late interaction reads of a chunk: the signs of its tokens' vectors, as `model` made them. They go with
-- the article and with the index; a chunk that stays as it is keeps its own.
CREATE TABLE chunk_signs (
    index_name text NOT NULL REFERENCES indexes ON DELETE CASCADE,
    chunk_id text NOT NULL,
    article_id uuid NOT NULL REFERENCES articles ON DELETE CASCADE,
    model text NOT NULL,
    signs bytea NOT NULL,
    PRIMARY KEY (index_name, chunk_id)
);
CREATE INDEX chunk_signs_article ON chunk_signs (article_id);
ALTER TABLE chunk_signs ALTER COLUMN signs SET STORAGE EXTERNAL;  -- signs do not compress
