-- What is counted for one subject is counted together, so its counters stand side by side in their index: by name
-- before subject, those of one sign-up were on three pages.
CREATE TABLE counters_by_subject (
    directory TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    window_start BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (directory, subject, name, window_start)
);
INSERT INTO counters_by_subject (directory, subject, name, window_start, expires_at, count)
    SELECT directory, subject, name, window_start, expires_at, count FROM counters;
DROP TABLE counters;
ALTER TABLE counters_by_subject RENAME TO counters;
CREATE INDEX counters_expiry ON counters (expires_at);
