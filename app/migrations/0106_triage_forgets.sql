-- When vectors of somebody who was erased were last taken out of a version's artefact: replicas read it anew.
ALTER TABLE triage_versions ADD COLUMN forgot_at timestamptz;
