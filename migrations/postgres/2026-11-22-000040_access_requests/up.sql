-- Companies that ask for an app. They belong to no tenant; an approved one names the tenant and
-- the app that were made for it. `expires_at` is when an undecided or rejected one is forgotten.
CREATE TABLE access_requests (
    id TEXT NOT NULL PRIMARY KEY,
    company TEXT NOT NULL,
    contact_email TEXT NOT NULL,
    intended_use TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'rejected')),
    tenant_id TEXT,
    app_id TEXT,
    reason TEXT,
    created_at BIGINT NOT NULL,
    decided_at BIGINT,
    expires_at BIGINT,
    CHECK ((status = 'approved') = (tenant_id IS NOT NULL AND app_id IS NOT NULL)),
    CHECK ((status = 'rejected') = (reason IS NOT NULL)),
    CHECK ((status = 'pending') = (decided_at IS NULL))
);
CREATE INDEX access_requests_status ON access_requests (status, id);
CREATE INDEX access_requests_expiry ON access_requests (expires_at);

-- One-time links to an app's secret, one at most for each app.
CREATE TABLE claim_links (
    owner TEXT NOT NULL,
    app_id TEXT NOT NULL,
    digest BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (owner, app_id),
    FOREIGN KEY (owner, app_id) REFERENCES apps (owner, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX claim_links_digest ON claim_links (digest);
CREATE INDEX claim_links_expiry ON claim_links (expires_at);
