-- What was ended or changed of late, so that each process forgets what it had verified. Numbers
-- are never used twice, and only the newest rows are kept.
CREATE TABLE revocations (
    seq BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL
);
