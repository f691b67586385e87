-- What people wrote in tickets is sealed under its customer's key (app/vault). 00 before a text says that it is not
-- sealed yet: the job `keep_sealed` comes to it soon, and search finds the ticket again from then on.
-- Each table is rewritten once: seconds for 200,000 tickets.
-- squawk-ignore ban-drop-column
ALTER TABLE tickets DROP COLUMN search;
-- squawk-ignore ban-drop-constraint
ALTER TABLE tickets DROP CONSTRAINT tickets_subject_check;
-- squawk-ignore ban-drop-default
ALTER TABLE tickets ALTER COLUMN custom DROP DEFAULT;
ALTER TABLE tickets
    -- squawk-ignore changing-column-type
    ALTER COLUMN subject TYPE bytea USING '\x00'::bytea || convert_to(subject, 'UTF8'),
    -- squawk-ignore changing-column-type
    ALTER COLUMN body TYPE bytea USING '\x00'::bytea || convert_to(body, 'UTF8'),
    -- squawk-ignore changing-column-type
    ALTER COLUMN custom TYPE bytea USING '\x00'::bytea || convert_to(custom::text, 'UTF8'),
    ALTER COLUMN custom SET DEFAULT '\x007b7d',
    ADD COLUMN search tsvector NOT NULL DEFAULT '';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX tickets_search ON tickets USING gin (search);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX tickets_unsealed ON tickets (id)
    WHERE get_byte(subject, 0) = 0 OR get_byte(body, 0) = 0 OR get_byte(custom, 0) = 0;
COMMENT ON COLUMN tickets.search IS 'Keyed hashes of the stemmed words of subject and body, and their places.';

ALTER TABLE ticket_messages
    -- squawk-ignore changing-column-type
    ALTER COLUMN body TYPE bytea USING '\x00'::bytea || convert_to(body, 'UTF8');
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ticket_messages_unsealed ON ticket_messages (id) WHERE get_byte(body, 0) = 0;

-- squawk-ignore ban-drop-default
ALTER TABLE ticket_csat ALTER COLUMN comment DROP DEFAULT;
ALTER TABLE ticket_csat
    -- squawk-ignore changing-column-type
    ALTER COLUMN comment TYPE bytea USING '\x00'::bytea || convert_to(comment, 'UTF8'),
    ALTER COLUMN comment SET DEFAULT '\x00';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ticket_csat_unsealed ON ticket_csat (ticket_id) WHERE get_byte(comment, 0) = 0;

-- squawk-ignore ban-drop-constraint
ALTER TABLE ticket_attachments DROP CONSTRAINT ticket_attachments_name_check;
ALTER TABLE ticket_attachments
    -- squawk-ignore changing-column-type
    ALTER COLUMN name TYPE bytea USING '\x00'::bytea || convert_to(name, 'UTF8'),
    -- squawk-ignore changing-column-type
    ALTER COLUMN url TYPE bytea USING '\x00'::bytea || convert_to(url, 'UTF8');
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ticket_attachments_unsealed ON ticket_attachments (id)
    WHERE get_byte(name, 0) = 0 OR get_byte(url, 0) = 0;

INSERT INTO schedules (kind, every) VALUES ('keep_sealed', interval '1 minute');
