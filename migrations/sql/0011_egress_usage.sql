-- What functions moved through the egress proxies, by days (UTC). A proxy tells the sum of its day again and again, so a report that comes twice, or
-- late, counts once. Days of functions that are gone stay until they are old.
CREATE TABLE egress_usage (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  day date NOT NULL,
  function_id uuid NOT NULL,
  -- The proxy's process, of which each start is another one.
  proxy text NOT NULL CHECK (length(proxy) <= 64),
  connections bigint NOT NULL,
  bytes_up bigint NOT NULL,
  bytes_down bigint NOT NULL,
  -- The sum of the connections' lives.
  open_ms bigint NOT NULL,
  PRIMARY KEY (tenant_id, day, function_id, proxy)
);
ALTER TABLE egress_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE egress_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY app_own ON egress_usage TO fnctl_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
GRANT SELECT, INSERT, UPDATE, DELETE ON egress_usage TO fnctl_app;
