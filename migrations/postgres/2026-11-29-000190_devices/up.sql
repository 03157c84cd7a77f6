-- Browsers that have signed a user in before, by the digest of their cookie.
CREATE TABLE devices (
    directory TEXT NOT NULL,
    digest BYTEA NOT NULL,
    user_id TEXT NOT NULL,
    failures INTEGER NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (directory, digest),
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE
);
CREATE INDEX devices_user ON devices (directory, user_id, expires_at);
CREATE INDEX devices_expiry ON devices (expires_at);
