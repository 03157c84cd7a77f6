-- A key is published before it signs ('next'), and after it has signed until no token of it is left.
-- SQLite cannot change a CHECK, so the table is made anew.
CREATE TABLE signing_keys_anew (
    kid TEXT NOT NULL PRIMARY KEY,
    algorithm TEXT NOT NULL,
    sealed_seed BLOB NOT NULL,
    master_key_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('next', 'current', 'retired')),
    created_at BIGINT NOT NULL,
    -- Since when it signs.
    activated_at BIGINT,
    -- Until when tokens that it signed are accepted, where it signs no more.
    verifies_until BIGINT
);
INSERT INTO signing_keys_anew (kid, algorithm, sealed_seed, master_key_id, state, created_at, activated_at)
    SELECT kid, algorithm, sealed_seed, master_key_id, state, created_at, created_at FROM signing_keys;
DROP TABLE signing_keys;
ALTER TABLE signing_keys_anew RENAME TO signing_keys;
-- One node wins when several start on an empty database at once.
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (algorithm) WHERE state = 'current';
CREATE UNIQUE INDEX signing_keys_next ON signing_keys (algorithm) WHERE state = 'next';
CREATE INDEX signing_keys_end ON signing_keys (verifies_until);
