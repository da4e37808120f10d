-- What functions may reach, beside the rules of their versions, and what they reached or tried to.

-- A tenant's own rules for what its functions may reach, beside those of their versions; they hold at once.
CREATE TABLE egress_rule (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  id uuid NOT NULL,
  -- NULL: all functions of the tenant.
  function_id uuid,
  action text NOT NULL CHECK (action IN ('allow', 'deny')),
  -- In lower case: a name, `*.` and a name, or `*`.
  host text NOT NULL CHECK (length(host) <= 255),
  -- None: every port.
  ports integer[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  UNIQUE NULLS NOT DISTINCT (tenant_id, function_id, host, ports),
  FOREIGN KEY (tenant_id, function_id) REFERENCES function (tenant_id, id) ON DELETE CASCADE
);
ALTER TABLE egress_rule ENABLE ROW LEVEL SECURITY;
ALTER TABLE egress_rule FORCE ROW LEVEL SECURITY;
CREATE POLICY app_own ON egress_rule TO fnctl_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY system_read ON egress_rule FOR SELECT TO fnctl_system USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON egress_rule TO fnctl_app;
GRANT SELECT ON egress_rule TO fnctl_system;

-- One connection of a function, or one refusal. Each tenant keeps its newest ones only.
CREATE TABLE egress_record (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  -- Of the time when it ended, so that it also is the order (RFC 9562, version 7).
  id uuid NOT NULL,
  function_id uuid NOT NULL,
  version integer NOT NULL,
  instance text NOT NULL CHECK (length(instance) <= 100),
  at timestamptz NOT NULL,
  target text NOT NULL CHECK (length(target) <= 300),
  address text NOT NULL CHECK (length(address) <= 300),
  bytes_up bigint NOT NULL,
  bytes_down bigint NOT NULL,
  duration_ms bigint NOT NULL,
  outcome text NOT NULL CHECK (length(outcome) <= 500),
  not_logged integer NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, function_id) REFERENCES function (tenant_id, id) ON DELETE CASCADE
);
ALTER TABLE egress_record ENABLE ROW LEVEL SECURITY;
ALTER TABLE egress_record FORCE ROW LEVEL SECURITY;
CREATE POLICY app_own ON egress_record TO fnctl_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
GRANT SELECT, INSERT, DELETE ON egress_record TO fnctl_app;

-- Private addresses that names of a tenant's functions may lead to, as its operator opened them. No row: none.
CREATE TABLE egress_ceiling (
  tenant_id uuid PRIMARY KEY REFERENCES tenant (id),
  private jsonb NOT NULL
);
ALTER TABLE egress_ceiling ENABLE ROW LEVEL SECURITY;
ALTER TABLE egress_ceiling FORCE ROW LEVEL SECURITY;
CREATE POLICY app_own ON egress_ceiling FOR SELECT TO fnctl_app USING (tenant_id = current_tenant());
CREATE POLICY system_set ON egress_ceiling TO fnctl_system USING (true) WITH CHECK (true);
GRANT SELECT ON egress_ceiling TO fnctl_app;
GRANT SELECT, INSERT, UPDATE ON egress_ceiling TO fnctl_system;
