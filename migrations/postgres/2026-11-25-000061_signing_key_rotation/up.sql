-- A key is published before it signs ('next'), and after it has signed until no token of it is left.
ALTER TABLE signing_keys DROP CONSTRAINT signing_keys_state_check;
ALTER TABLE signing_keys ADD CONSTRAINT signing_keys_state_check CHECK (state IN ('next', 'current', 'retired'));
-- Since when it signs.
ALTER TABLE signing_keys ADD COLUMN activated_at BIGINT;
-- Until when tokens that it signed are accepted, where it signs no more.
ALTER TABLE signing_keys ADD COLUMN verifies_until BIGINT;
UPDATE signing_keys SET activated_at = created_at;
CREATE UNIQUE INDEX signing_keys_next ON signing_keys (algorithm) WHERE state = 'next';
CREATE INDEX signing_keys_end ON signing_keys (verifies_until);
