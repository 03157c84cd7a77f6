-- Each process numbers its events from 1; the MAC vouches for one event. Both may be absent only
-- because the version before this one does not write them.
ALTER TABLE audit_events ADD COLUMN process TEXT;
ALTER TABLE audit_events ADD COLUMN number BIGINT;
ALTER TABLE audit_events ADD COLUMN mac BLOB;

-- What was there before counts as the events of one process that ended without sealing. The next
-- start seals them before anything else.
UPDATE audit_events
    SET process = 'boot_00000000000000000000000000', number = numbered.place
    FROM (
        SELECT owner AS of_owner, id AS of_id, ROW_NUMBER() OVER (ORDER BY at, owner, id) AS place
        FROM audit_events
    ) AS numbered
    WHERE audit_events.owner = numbered.of_owner AND audit_events.id = numbered.of_id;
CREATE UNIQUE INDEX audit_events_number ON audit_events (process, number);

-- The processes that may have events which no seal covers.
CREATE TABLE audit_processes (
    id TEXT NOT NULL PRIMARY KEY,
    seen_at BIGINT NOT NULL
);
INSERT INTO audit_processes (id, seen_at)
    SELECT process, MAX(at) FROM audit_events GROUP BY process;

-- Sealed ranges of events. `number` counts all seals without a gap, `ordinal` those of one process.
CREATE TABLE audit_seals (
    number BIGINT NOT NULL PRIMARY KEY,
    process TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    first_event BIGINT NOT NULL,
    last_event BIGINT NOT NULL,
    absent TEXT NOT NULL,
    sealed_by TEXT NOT NULL,
    sealed_at BIGINT NOT NULL,
    hash BLOB NOT NULL,
    previous_of_process BLOB,
    previous BLOB,
    key_id TEXT NOT NULL,
    mac BLOB NOT NULL,
    removed_at BIGINT,
    removal_mac BLOB
);
CREATE UNIQUE INDEX audit_seals_chain ON audit_seals (process, ordinal);
CREATE INDEX audit_seals_kept ON audit_seals (sealed_at, number) WHERE removed_at IS NULL;
