-- Builds name the request that asked for them, builds that end their worker end themselves, and sources can be swept.

-- Request id of the deploy, for the problem that the build may end with.
ALTER TABLE build ADD COLUMN request_id text CHECK (length(request_id) <= 64);
-- How often a worker took this build from one that was gone: a build that kills its workers must come to an end too.
ALTER TABLE build ADD COLUMN takeovers integer NOT NULL DEFAULT 0;

-- When somebody last said that they have, or use, this source: what nobody does is removed after a grace period.
ALTER TABLE blob ADD COLUMN seen_at timestamptz NOT NULL DEFAULT now();
-- The row of a failed version stays for its owner to read; its source must be free to go.
ALTER TABLE version DROP CONSTRAINT version_tenant_id_source_digest_fkey;
CREATE INDEX version_source ON version (tenant_id, source_digest);
