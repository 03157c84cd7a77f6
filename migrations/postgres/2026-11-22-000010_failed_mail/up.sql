-- How often a mail was refused, as opposed to nobody being there to take it.
ALTER TABLE outbox ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
-- When a mail was given up; its message is erased then, as it is when it was sent.
ALTER TABLE outbox ADD COLUMN failed_at BIGINT;
CREATE INDEX outbox_failed ON outbox (failed_at);
