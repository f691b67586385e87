-- The sweep of the SLA alone leaves 5,760 done jobs a day.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_done ON jobs (finished_at) WHERE status = 'done';
INSERT INTO schedules (kind, every) VALUES ('prune_jobs', interval '1 hour');
