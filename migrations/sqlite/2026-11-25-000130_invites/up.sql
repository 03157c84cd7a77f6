-- Invitations to a tenant. Their links are mailed, and only digests of them are kept.
CREATE TABLE invites (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'manager', 'member')),
    -- Nothing where it was made on the server's host.
    inviter_id TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'accepted', 'cancelled')),
    digest BLOB,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK ((status = 'pending') = (digest IS NOT NULL)),
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX invites_digest ON invites (digest);
-- An address is invited once at a time.
CREATE UNIQUE INDEX invites_pending ON invites (tenant_id, email_key) WHERE status = 'pending';
CREATE INDEX invites_expiry ON invites (expires_at);
CREATE INDEX invites_email ON invites (email_key);
