-- "Mine, of this status" read 200,000 tickets backwards where an agent had few: 82 ms.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX tickets_assignee_status ON tickets (assignee_id, status, id DESC);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX tickets_assignee_all ON tickets (assignee_id, id DESC);
