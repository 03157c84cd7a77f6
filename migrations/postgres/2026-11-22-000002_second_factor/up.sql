-- A user's authenticator app. `pending_secret` waits for its first code; `secret` is in force.
CREATE TABLE totp (
    directory TEXT NOT NULL,
    user_id TEXT NOT NULL,
    secret BYTEA,
    last_step BIGINT,
    pending_secret BYTEA,
    PRIMARY KEY (directory, user_id),
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE,
    CHECK ((secret IS NULL) = (last_step IS NULL))
);

-- What is left of a user's recovery codes: a used one is removed.
CREATE TABLE recovery_codes (
    directory TEXT NOT NULL,
    user_id TEXT NOT NULL,
    mac BYTEA NOT NULL,
    PRIMARY KEY (directory, user_id, mac),
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE
);

-- The code that was last mailed to a user for a new password.
CREATE TABLE reset_codes (
    directory TEXT NOT NULL,
    user_id TEXT NOT NULL,
    mac BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    tries_left INTEGER NOT NULL,
    PRIMARY KEY (directory, user_id),
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE
);
CREATE INDEX reset_codes_expiry ON reset_codes (expires_at);
