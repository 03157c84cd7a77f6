-- Whose credentials an app may ask about: those of its own tenant, or of every tenant.
ALTER TABLE apps ADD COLUMN introspect TEXT NOT NULL DEFAULT 'own' CHECK (introspect IN ('own', 'platform'));
