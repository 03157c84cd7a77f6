-- Rows that nobody looks for by these columns, which are most of them, are left out of their indexes: an entry for
-- each would be written with each mail and each sign-up.
DROP INDEX outbox_sent;
DROP INDEX outbox_failed;
DROP INDEX registrations_link;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX outbox_failed ON outbox (failed_at) WHERE failed_at IS NOT NULL;
CREATE UNIQUE INDEX registrations_link ON registrations (link_digest) WHERE link_digest IS NOT NULL;
