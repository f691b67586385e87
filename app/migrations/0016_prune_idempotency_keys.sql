INSERT INTO schedules (kind, every) VALUES ('prune_idempotency_keys', interval '6 hours');
