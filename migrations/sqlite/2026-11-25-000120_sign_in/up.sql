-- What people of the platform sign in with, and prove that they read their mail with.

-- Sign-ins with the right password that wait for a code of the second factor.
CREATE TABLE sign_in_challenges (
    directory TEXT NOT NULL,
    digest BLOB NOT NULL,
    user_id TEXT NOT NULL,
    transient BOOLEAN NOT NULL,
    tries_left INTEGER NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (directory, digest),
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE
);
CREATE INDEX sign_in_challenges_user ON sign_in_challenges (directory, user_id);
CREATE INDEX sign_in_challenges_expiry ON sign_in_challenges (expires_at);

-- The code and the link that were mailed to a user's address, one pair at most for each user.
CREATE TABLE address_proofs (
    directory TEXT NOT NULL,
    user_id TEXT NOT NULL,
    email TEXT NOT NULL,
    mac BLOB NOT NULL,
    code_expires_at BIGINT NOT NULL,
    tries_left INTEGER NOT NULL,
    digest BLOB NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (directory, user_id),
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX address_proofs_digest ON address_proofs (digest);
CREATE INDEX address_proofs_expiry ON address_proofs (expires_at);

-- The link that was mailed beside the code, where the directory's sign-ups get one.
ALTER TABLE registrations ADD COLUMN link_digest BLOB;
CREATE UNIQUE INDEX registrations_link ON registrations (link_digest);

-- Links to set a new password with, one at most for each user.
CREATE TABLE reset_links (
    directory TEXT NOT NULL,
    user_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (directory, user_id),
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX reset_links_digest ON reset_links (digest);
CREATE INDEX reset_links_expiry ON reset_links (expires_at);

-- Recovery codes that were shown before the second factor is in force.
ALTER TABLE recovery_codes ADD COLUMN pending BOOLEAN NOT NULL DEFAULT FALSE;
-- In which session the second factor was put into force.
ALTER TABLE totp ADD COLUMN enrolled_in TEXT;
-- A session whose cookie goes when the browser is closed.
ALTER TABLE sessions ADD COLUMN transient BOOLEAN NOT NULL DEFAULT FALSE;
-- What else a job has to know: where the link in its mail leads on to.
ALTER TABLE jobs ADD COLUMN detail TEXT;

-- Where somebody signed in, or failed to.
CREATE INDEX audit_events_signed_in ON audit_events (owner, actor_id, id) WHERE action = 'session.created';
CREATE INDEX audit_events_signing_in ON audit_events (owner, target, id) WHERE action = 'session.created';
