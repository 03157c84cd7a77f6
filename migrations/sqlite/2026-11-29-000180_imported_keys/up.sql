-- Keys that another system made have no prefix of ours, and only their digests are known. So all keys are looked
-- up by the digest of their secret. The prefix is what those made here are recognized by; `start` is what is
-- known of the others.
ALTER TABLE api_key_secrets RENAME TO former_api_key_secrets;
DROP INDEX api_key_secrets_key;
DROP INDEX api_key_secrets_end;
CREATE TABLE api_key_secrets (
    digest BLOB NOT NULL,
    prefix TEXT,
    start TEXT,
    directory TEXT NOT NULL,
    key_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT,
    CONSTRAINT api_key_secrets_digest PRIMARY KEY (digest),
    FOREIGN KEY (directory, key_id) REFERENCES api_keys (directory, id) ON DELETE CASCADE
);
INSERT INTO api_key_secrets (digest, prefix, directory, key_id, created_at, ends_at)
    SELECT digest, prefix, directory, key_id, created_at, ends_at FROM former_api_key_secrets;
DROP TABLE former_api_key_secrets;
CREATE UNIQUE INDEX api_key_secrets_prefix ON api_key_secrets (prefix);
CREATE INDEX api_key_secrets_key ON api_key_secrets (directory, key_id);
CREATE INDEX api_key_secrets_end ON api_key_secrets (ends_at);

-- The digests of all keys that were ever brought along: one that ended does not come back with the same file.
CREATE TABLE imported_keys (
    digest BLOB NOT NULL PRIMARY KEY,
    imported_at BIGINT NOT NULL
);

-- Reports name keys by their digests alone, too.
ALTER TABLE leak_reports RENAME TO former_leak_reports;
CREATE TABLE leak_reports (
    digest BLOB NOT NULL,
    reported_at BIGINT NOT NULL,
    CONSTRAINT leak_reports_digest PRIMARY KEY (digest)
);
INSERT INTO leak_reports (digest, reported_at) SELECT digest, min(reported_at) FROM former_leak_reports GROUP BY digest;
DROP TABLE former_leak_reports;
