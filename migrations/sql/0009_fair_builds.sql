-- Builds are taken by one fair statement of the system role; what something newer made pointless says so, and never takes `live` back.

ALTER TABLE build DROP CONSTRAINT build_state_check;
ALTER TABLE build ADD CONSTRAINT build_state_check CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'superseded'));
ALTER TABLE version DROP CONSTRAINT version_state_check;
ALTER TABLE version ADD CONSTRAINT version_state_check CHECK (state IN ('building', 'ready', 'failed', 'superseded'));

-- When somebody last took it; who was served longest ago comes first.
ALTER TABLE build ADD COLUMN taken_at timestamptz;
-- Not taken before: a part of the platform that it needs is away.
ALTER TABLE build ADD COLUMN retry_at timestamptz;
CREATE INDEX build_queued ON build (tenant_id, created_at) WHERE state = 'queued';
CREATE INDEX build_running ON build (tenant_id) WHERE state = 'running';
CREATE INDEX build_taken ON build (tenant_id, taken_at);

CREATE POLICY system_take ON build FOR UPDATE TO fnctl_system
  USING (state IN ('queued', 'running')) WITH CHECK (state IN ('queued', 'running'));
GRANT UPDATE (state, epoch, takeovers, started_at, taken_at, retry_at) ON build TO fnctl_system;

-- Versions up to this number were accepted before `live` was last decided: their builds do not move it.
ALTER TABLE alias ADD COLUMN decided integer NOT NULL DEFAULT 0;
-- Row-level security holds for the owner of the tables, too, who has no policy.
ALTER TABLE alias NO FORCE ROW LEVEL SECURITY;
ALTER TABLE version NO FORCE ROW LEVEL SECURITY;
UPDATE alias SET decided = version.number FROM version WHERE version.tenant_id = alias.tenant_id AND version.id = alias.version_id;
ALTER TABLE alias FORCE ROW LEVEL SECURITY;
ALTER TABLE version FORCE ROW LEVEL SECURITY;
