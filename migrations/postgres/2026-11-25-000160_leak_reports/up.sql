-- Well-formed API keys that somebody found where they do not belong, until the worker has looked whether they
-- are anybody's. Whoever reports one writes the same row either way.
CREATE TABLE leak_reports (
    prefix TEXT NOT NULL,
    digest BYTEA NOT NULL,
    reported_at BIGINT NOT NULL,
    PRIMARY KEY (prefix, digest)
);
