-- Until when a secret that was rotated away still authenticates its app.
ALTER TABLE app_secrets ADD COLUMN ends_at BIGINT;
CREATE INDEX app_secrets_end ON app_secrets (ends_at);
