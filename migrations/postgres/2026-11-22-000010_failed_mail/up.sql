-- When a mail was given up; its message is erased then, as it is when it was sent.
ALTER TABLE outbox ADD COLUMN failed_at BIGINT;
CREATE INDEX outbox_failed ON outbox (failed_at);
