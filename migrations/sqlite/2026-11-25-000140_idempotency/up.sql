-- Answers that are given again to whoever sends the same request with the same key. They carry no secret.
CREATE TABLE idempotency_answers (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    key TEXT NOT NULL,
    directory TEXT NOT NULL CHECK (directory = 'platform'),
    body_digest BLOB NOT NULL,
    status INTEGER NOT NULL,
    answer TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, method, path, key),
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    FOREIGN KEY (directory, user_id) REFERENCES users (directory, id) ON DELETE CASCADE
);
CREATE INDEX idempotency_answers_user ON idempotency_answers (directory, user_id);
CREATE INDEX idempotency_answers_expiry ON idempotency_answers (expires_at);
