-- A person's key, wrapped by a key-encryption key that is not in the database. Erasing a person takes `wrapped` away:
-- the row stays and says that nothing is ever to be sealed for them again.
CREATE TABLE data_keys (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    person_id uuid NOT NULL UNIQUE,
    kek text NOT NULL,
    wrapped bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);
CREATE INDEX data_keys_kek ON data_keys (kek) WHERE wrapped IS NOT NULL;
COMMENT ON TABLE data_keys IS 'One key a person, wrapped; all their texts are sealed by it. Whoever destroys it erases the person.';
