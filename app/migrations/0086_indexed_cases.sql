-- Which collections of the vector store have a case: one for each embedder of an index that answers or may.
CREATE TABLE indexed_cases (
    collection text NOT NULL,
    case_id uuid NOT NULL REFERENCES solved_cases ON DELETE CASCADE,
    PRIMARY KEY (collection, case_id)
);
CREATE INDEX indexed_cases_case ON indexed_cases (case_id);
INSERT INTO indexed_cases (collection, case_id)
SELECT indexed_in, id FROM solved_cases WHERE indexed_in IS NOT NULL;
-- squawk-ignore ban-drop-column
ALTER TABLE solved_cases DROP COLUMN indexed_in;
