-- A change of a user's address that waits to be confirmed from the new one, one at most for each user.
CREATE TABLE address_changes (
    directory TEXT NOT NULL,
    user_id TEXT NOT NULL,
    email TEXT NOT NULL,
    digest BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (directory, user_id),
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX address_changes_digest ON address_changes (digest);
CREATE INDEX address_changes_expiry ON address_changes (expires_at);

-- Addresses that users had and can go back to; until then nobody else gets them. `position` says
-- which of a user's came first. `had_second_factor` is about the moment of the change.
CREATE TABLE former_addresses (
    directory TEXT NOT NULL,
    user_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    had_second_factor BOOLEAN NOT NULL,
    digest BYTEA NOT NULL,
    changed_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (directory, user_id, position),
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX former_addresses_digest ON former_addresses (digest);
CREATE INDEX former_addresses_email ON former_addresses (directory, email_key);
CREATE INDEX former_addresses_expiry ON former_addresses (expires_at);
