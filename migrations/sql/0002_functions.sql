-- Functions, their immutable versions, aliases, builds, and sources as content-addressed blobs.

CREATE TABLE function (
  id uuid NOT NULL,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  name text NOT NULL CHECK (name ~ '^[a-z](-?[a-z0-9])*$' AND length(name) <= 40),
  runtime text NOT NULL,
  -- Counts changes; the ETag of the resource.
  revision integer NOT NULL DEFAULT 1,
  next_version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, name)
);

CREATE TABLE blob (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  digest text NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
  size bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, digest)
);
CREATE TABLE blob_chunk (
  tenant_id uuid NOT NULL,
  digest text NOT NULL,
  index integer NOT NULL CHECK (index >= 0),
  data bytea NOT NULL CHECK (length(data) <= 1048576),
  PRIMARY KEY (tenant_id, digest, index),
  FOREIGN KEY (tenant_id, digest) REFERENCES blob (tenant_id, digest) ON DELETE CASCADE
);

CREATE TABLE version (
  id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  function_id uuid NOT NULL,
  number integer NOT NULL,
  state text NOT NULL DEFAULT 'building' CHECK (state IN ('building', 'ready', 'failed')),
  config jsonb NOT NULL,
  source_digest text NOT NULL,
  -- Set together by the one conditional UPDATE that publishes a build.
  image_digest text,
  image_bytes bigint,
  layer_diff_id text,
  base_digest text,
  entry jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, function_id, number),
  FOREIGN KEY (tenant_id, function_id) REFERENCES function (tenant_id, id) ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, source_digest) REFERENCES blob (tenant_id, digest),
  CHECK ((state = 'ready') = (image_digest IS NOT NULL))
);

CREATE TABLE alias (
  tenant_id uuid NOT NULL,
  function_id uuid NOT NULL,
  name text NOT NULL CHECK (name = 'live'),
  version_id uuid NOT NULL,
  PRIMARY KEY (tenant_id, function_id, name),
  FOREIGN KEY (tenant_id, function_id) REFERENCES function (tenant_id, id) ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, version_id) REFERENCES version (tenant_id, id) ON DELETE CASCADE
);

-- The truth about a build; the queue only says "look at this row" (SECURITY F10).
CREATE TABLE build (
  id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  version_id uuid NOT NULL,
  state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'succeeded', 'failed')),
  -- Grows with each worker that takes the build; a worker's writes carry its own and touch nothing after it lost it.
  epoch integer NOT NULL DEFAULT 0,
  promote boolean NOT NULL,
  problem jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  ended_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, version_id),
  FOREIGN KEY (tenant_id, version_id) REFERENCES version (tenant_id, id) ON DELETE CASCADE
);
CREATE TABLE build_event (
  tenant_id uuid NOT NULL,
  build_id uuid NOT NULL,
  seq integer NOT NULL,
  event jsonb NOT NULL,
  PRIMARY KEY (tenant_id, build_id, seq),
  FOREIGN KEY (tenant_id, build_id) REFERENCES build (tenant_id, id) ON DELETE CASCADE
);

-- The last instance of a function that ended against its will, for its owner.
CREATE TABLE instance_failure (
  tenant_id uuid NOT NULL,
  function_id uuid NOT NULL,
  at timestamptz NOT NULL,
  reason text NOT NULL,
  detail text NOT NULL,
  version integer NOT NULL,
  PRIMARY KEY (tenant_id, function_id),
  FOREIGN KEY (tenant_id, function_id) REFERENCES function (tenant_id, id) ON DELETE CASCADE
);

-- Answers to creates that carried an Idempotency-Key, kept for a day.
CREATE TABLE idempotency (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  key text NOT NULL CHECK (length(key) <= 255),
  request_hash text NOT NULL,
  status integer NOT NULL,
  body jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, key)
);

DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['function', 'blob', 'blob_chunk', 'version', 'alias', 'build', 'build_event', 'instance_failure', 'idempotency'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY app_own ON %I TO fnctl_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO fnctl_app', name);
  END LOOP;
  -- What the change feed and the reconcile loop read across tenants; nothing else, and never to write.
  FOREACH name IN ARRAY ARRAY['function', 'version', 'alias', 'build'] LOOP
    EXECUTE format('CREATE POLICY system_read ON %I FOR SELECT TO fnctl_system USING (true)', name);
    EXECUTE format('GRANT SELECT ON %I TO fnctl_system', name);
  END LOOP;
END $$;
