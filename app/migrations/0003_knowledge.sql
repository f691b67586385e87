CREATE TYPE visibility AS ENUM ('public', 'customers', 'agents');

CREATE TABLE articles (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    source text NOT NULL,
    slug text NOT NULL,
    title text NOT NULL,
    summary text NOT NULL DEFAULT '',
    url text,
    body text NOT NULL,
    products text[] NOT NULL DEFAULT '{}',
    topics text[] NOT NULL DEFAULT '{}',
    language text NOT NULL DEFAULT 'en',
    visibility visibility NOT NULL DEFAULT 'public',
    content_hash bytea NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX articles_source_slug ON articles (source, slug);

-- An index is one way of cutting and embedding; its name is the collection in the vector store.
CREATE TABLE indexes (
    name text PRIMARY KEY,
    embedder text NOT NULL,
    dimensions integer NOT NULL,
    chunker text NOT NULL,
    active boolean NOT NULL DEFAULT false,
    chunks bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX indexes_one_active ON indexes (active) WHERE active;

-- `id` hashes the article, its title, the heading path and the text: the same text keeps its id, and its
-- vector. `stems` are the hashes of its distinct terms, as BM25 counts them.
CREATE TABLE chunks (
    id text NOT NULL,
    index_name text NOT NULL REFERENCES indexes ON DELETE CASCADE,
    article_id uuid NOT NULL REFERENCES articles ON DELETE CASCADE,
    position integer NOT NULL,
    title text NOT NULL,
    section text NOT NULL DEFAULT '',
    text text NOT NULL,
    tokens integer NOT NULL,
    stems bigint[] NOT NULL,
    terms tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title || ' ' || section), 'A') || to_tsvector('english', text)
    ) STORED,
    PRIMARY KEY (index_name, id)
);
CREATE INDEX chunks_article ON chunks (article_id);
CREATE INDEX chunks_terms ON chunks USING gin (terms);

-- In how many chunks each term stands: what BM25's idf needs. Kept by triggers, so that it cannot drift.
CREATE TABLE index_terms (
    index_name text NOT NULL REFERENCES indexes ON DELETE CASCADE,
    stem bigint NOT NULL,
    chunks integer NOT NULL,
    PRIMARY KEY (index_name, stem)
) WITH (fillfactor = 70);

CREATE FUNCTION count_terms() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sign integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    -- In order of the key, so that two writers cannot wait for each other in a circle.
    INSERT INTO index_terms AS known (index_name, stem, chunks)
    SELECT index_name, stem, sign * count(*)
      FROM changed, unnest(stems) AS stem
     GROUP BY index_name, stem
     ORDER BY index_name, stem
    ON CONFLICT (index_name, stem) DO UPDATE SET chunks = known.chunks + excluded.chunks;
    UPDATE indexes
       SET chunks = indexes.chunks + sign * of_index.number
      FROM (SELECT index_name, count(*) AS number FROM changed GROUP BY index_name) AS of_index
     WHERE indexes.name = of_index.index_name;
    RETURN NULL;
END
$$;
CREATE TRIGGER chunks_added AFTER INSERT ON chunks
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_terms();
CREATE TRIGGER chunks_deleted AFTER DELETE ON chunks
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_terms();
