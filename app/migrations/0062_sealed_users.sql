-- Names and addresses are sealed under the user's own key; an address is found by a keyed hash of it. Whoever is not
-- sealed yet (00) is found by the address itself, until the job `keep_sealed` has come to them.
-- squawk-ignore ban-drop-constraint
ALTER TABLE users DROP CONSTRAINT users_email_check;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX users_email_key;
ALTER TABLE users
    -- squawk-ignore changing-column-type
    ALTER COLUMN email TYPE bytea USING '\x00'::bytea || convert_to(email, 'UTF8'),
    -- squawk-ignore changing-column-type
    ALTER COLUMN name TYPE bytea USING '\x00'::bytea || convert_to(name, 'UTF8'),
    ADD COLUMN email_hash bytea;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX users_email_hash ON users (email_hash);
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX users_email_unsealed ON users (email) WHERE get_byte(email, 0) = 0;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX users_unsealed ON users (id) WHERE get_byte(email, 0) = 0 OR get_byte(name, 0) = 0;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX federated_identities_unsealed ON federated_identities (issuer) WHERE left(subject, 5) <> 'hmac:';
COMMENT ON COLUMN federated_identities.subject IS 'A keyed hash: providers take what they like for a subject, also addresses.';
COMMENT ON COLUMN users.email_hash IS 'Keyed hash of the address; null while it is not sealed yet.';
