-- Ids are TypeIDs, instants microseconds since the Unix epoch, owners 'platform' or a tenant's
-- id. Rows of an owner are keyed by it first, so that its data lies together and can be moved.

CREATE TABLE deployment (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    plan TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
    entity_hotkey TEXT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX tenants_slug ON tenants (slug);

CREATE TABLE apps (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    name TEXT NOT NULL,
    allowed_scopes TEXT NOT NULL,
    first_party BOOLEAN NOT NULL,
    active BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (owner, id)
);
CREATE UNIQUE INDEX apps_client_id ON apps (client_id);

CREATE TABLE app_secrets (
    owner TEXT NOT NULL,
    app_id TEXT NOT NULL,
    id TEXT NOT NULL,
    digest BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    PRIMARY KEY (owner, app_id, id),
    FOREIGN KEY (owner, app_id) REFERENCES apps (owner, id) ON DELETE CASCADE
);

CREATE TABLE users (
    directory TEXT NOT NULL,
    id TEXT NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    email_verified_at BIGINT,
    name TEXT,
    password_hash TEXT,
    status TEXT NOT NULL CHECK (status IN ('active', 'locked')),
    operator BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (directory, id),
    CHECK (directory = 'platform' OR NOT operator)
);
CREATE UNIQUE INDEX users_email ON users (directory, email_key);

CREATE TABLE registrations (
    directory TEXT NOT NULL,
    id TEXT NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    name TEXT,
    password_hash TEXT NOT NULL,
    code_mac BLOB,
    code_expires_at BIGINT,
    code_tries_left INTEGER,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (directory, id)
);
CREATE INDEX registrations_email ON registrations (directory, email_key);
CREATE INDEX registrations_expiry ON registrations (expires_at);

CREATE TABLE sessions (
    directory TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    ip TEXT,
    user_agent TEXT,
    PRIMARY KEY (directory, id),
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX sessions_digest ON sessions (digest);
CREATE INDEX sessions_user ON sessions (directory, user_id);
CREATE INDEX sessions_expiry ON sessions (ends_at);

-- How often something happened to somebody within a window of time.
CREATE TABLE counters (
    directory TEXT NOT NULL,
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    window_start BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (directory, name, subject, window_start)
);
CREATE INDEX counters_expiry ON counters (expires_at);

-- Mail to be sent; the sealed message is erased once it is.
CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY,
    directory TEXT NOT NULL,
    template TEXT NOT NULL,
    recipient TEXT NOT NULL,
    sealed BLOB,
    created_at BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at BIGINT,
    sent_at BIGINT
);
CREATE INDEX outbox_due ON outbox (next_attempt_at);
CREATE INDEX outbox_sent ON outbox (sent_at);

-- Work whose outcome the one who asked must not be able to tell from its duration.
CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    directory TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at BIGINT NOT NULL
);
CREATE INDEX jobs_due ON jobs (next_attempt_at);

CREATE TABLE signing_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    algorithm TEXT NOT NULL,
    sealed_seed BLOB NOT NULL,
    master_key_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('current', 'retired')),
    created_at BIGINT NOT NULL
);
-- One node wins when several start on an empty database at once.
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (algorithm) WHERE state = 'current';

CREATE TABLE audit_events (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    action TEXT NOT NULL,
    target TEXT,
    outcome TEXT NOT NULL,
    ip TEXT,
    user_agent TEXT,
    PRIMARY KEY (owner, id)
);
