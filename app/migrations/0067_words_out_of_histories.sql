-- A client's Idempotency-Key is a text of its own making: its hash tells keys apart as well.
UPDATE idempotency_keys SET key = encode(sha256(convert_to(key, 'UTF8')), 'hex');

-- Histories say which fields changed, not what people put there; and who got a ticket by id, not by name.
UPDATE ticket_events SET data = data - 'tags' WHERE kind = 'changed' AND data ? 'tags';
UPDATE ticket_events SET data = data #- '{score,name}' WHERE kind = 'assigned' AND data -> 'score' ? 'name';
UPDATE domain_events SET data = data - 'tags' WHERE kind = 'changed' AND data ? 'tags';
UPDATE domain_events SET data = data #- '{score,name}' WHERE kind = 'assigned' AND data -> 'score' ? 'name';
