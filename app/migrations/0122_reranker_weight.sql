-- A weight is no longer a share: it is what a deviation of the reranker's scores lifts a passage by. The table
-- has a row a training.
-- squawk-ignore ban-drop-constraint
ALTER TABLE reranker_versions DROP CONSTRAINT reranker_versions_weight_check;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE reranker_versions ADD CONSTRAINT reranker_versions_weight_check CHECK (weight > 0);
