-- Tenants, tokens, and the helpers that row-level security stands on.

-- The tenant of this transaction. After SET LOCAL ends, the setting is '' and not NULL, hence nullif (SECURITY 1, fact 4).
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE
  AS $$ SELECT nullif(current_setting('app.tenant', true), '')::uuid $$;

CREATE TABLE tenant (
  id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z](-?[a-z0-9])*$' AND length(slug) <= 40),
  risk text NOT NULL DEFAULT 'standard' CHECK (risk IN ('standard', 'elevated')),
  created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant FORCE ROW LEVEL SECURITY;
CREATE POLICY app_own ON tenant FOR SELECT TO fnctl_app USING (id = current_tenant());
CREATE POLICY system_read ON tenant FOR SELECT TO fnctl_system USING (true);
CREATE POLICY system_create ON tenant FOR INSERT TO fnctl_system WITH CHECK (true);

-- A token's secret is never stored: SHA-256 of the whole token, which holds 256 random bits (SECURITY E10).
CREATE TABLE token (
  id uuid NOT NULL,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  name text NOT NULL,
  prefix text NOT NULL,
  hash bytea NOT NULL CHECK (length(hash) = 32),
  scopes text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX token_hash ON token (hash);
ALTER TABLE token ENABLE ROW LEVEL SECURITY;
ALTER TABLE token FORCE ROW LEVEL SECURITY;
CREATE POLICY app_own ON token TO fnctl_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY system_read ON token FOR SELECT TO fnctl_system USING (true);
CREATE POLICY system_create ON token FOR INSERT TO fnctl_system WITH CHECK (true);

-- Operators stand above tenants; no tenant role sees this table.
CREATE TABLE operator_token (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  prefix text NOT NULL,
  hash bytea NOT NULL CHECK (length(hash) = 32),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
CREATE INDEX operator_token_hash ON operator_token (hash);

GRANT SELECT ON tenant TO fnctl_app, fnctl_system;
GRANT INSERT ON tenant TO fnctl_system;
GRANT SELECT, INSERT, UPDATE ON token TO fnctl_app;
GRANT SELECT, INSERT ON token TO fnctl_system;
GRANT SELECT, INSERT ON operator_token TO fnctl_system;
