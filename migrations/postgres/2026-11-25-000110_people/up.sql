-- People of the platform: what they are called by, the tenants that they are members of, and the keys of
-- their scripts.

-- Only people of the platform have a handle.
ALTER TABLE users ADD COLUMN handle TEXT;
ALTER TABLE users ADD COLUMN last_login_at BIGINT;
ALTER TABLE users ADD COLUMN updated_at BIGINT;
CREATE UNIQUE INDEX users_handle ON users (directory, handle);

ALTER TABLE tenants ADD COLUMN mfa_required BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE tenants ADD COLUMN pinned_keys_only BOOLEAN NOT NULL DEFAULT FALSE;

-- The tenant that a person works in; it says what is shown first and opens nothing.
ALTER TABLE sessions ADD COLUMN active_tenant TEXT;

CREATE TABLE memberships (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    directory TEXT NOT NULL CHECK (directory = 'platform'),
    user_id TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'manager', 'member')),
    founder BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX memberships_user ON memberships (tenant_id, user_id);
CREATE INDEX memberships_of ON memberships (directory, user_id);

CREATE TABLE projects (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    website TEXT,
    status TEXT NOT NULL CHECK (status IN ('active', 'archived')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX projects_slug ON projects (tenant_id, slug);

-- A key that is pinned hangs on the membership, and goes with it.
CREATE TABLE api_keys (
    directory TEXT NOT NULL CHECK (directory = 'platform'),
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    tenant_id TEXT,
    membership_id TEXT,
    name TEXT NOT NULL,
    environment TEXT NOT NULL CHECK (environment IN ('live', 'test')),
    scopes TEXT NOT NULL,
    session_id TEXT,
    expires_at BIGINT,
    last_used_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (directory, id),
    CHECK ((tenant_id IS NULL) = (membership_id IS NULL)),
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, membership_id) REFERENCES memberships (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX api_keys_user ON api_keys (directory, user_id);
CREATE INDEX api_keys_membership ON api_keys (tenant_id, membership_id);
CREATE INDEX api_keys_expiry ON api_keys (expires_at);

-- A key has one secret, and two while it is rotated. Each is looked up by a prefix of its own.
CREATE TABLE api_key_secrets (
    prefix TEXT NOT NULL PRIMARY KEY,
    directory TEXT NOT NULL,
    key_id TEXT NOT NULL,
    digest BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT,
    FOREIGN KEY (directory, key_id) REFERENCES api_keys (directory, id) ON DELETE CASCADE
);
CREATE INDEX api_key_secrets_key ON api_key_secrets (directory, key_id);
CREATE INDEX api_key_secrets_end ON api_key_secrets (ends_at);

-- Keys that a tenant does not let in although their holders are members.
CREATE TABLE api_key_bars (
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    directory TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, key_id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    FOREIGN KEY (directory, key_id) REFERENCES api_keys (directory, id) ON DELETE CASCADE
);
CREATE INDEX api_key_bars_key ON api_key_bars (directory, key_id);
