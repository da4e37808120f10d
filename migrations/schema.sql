-- columns
alias.tenant_id uuid not null
alias.function_id uuid not null
alias.name text not null
alias.version_id uuid not null
alias.decided integer not null default 0
blob.tenant_id uuid not null
blob.digest text not null
blob.size bigint not null
blob.created_at timestamp with time zone not null default now()
blob.seen_at timestamp with time zone not null default now()
blob_chunk.tenant_id uuid not null
blob_chunk.digest text not null
blob_chunk.index integer not null
blob_chunk.data bytea not null
build.id uuid not null
build.tenant_id uuid not null
build.version_id uuid not null
build.state text not null default 'queued'::text
build.epoch integer not null default 0
build.promote boolean not null
build.problem jsonb
build.created_at timestamp with time zone not null default now()
build.started_at timestamp with time zone
build.ended_at timestamp with time zone
build.request_id text
build.takeovers integer not null default 0
build.taken_at timestamp with time zone
build.retry_at timestamp with time zone
build_event.tenant_id uuid not null
build_event.build_id uuid not null
build_event.seq integer not null
build_event.event jsonb not null
egress_ceiling.tenant_id uuid not null
egress_ceiling.private jsonb not null
egress_record.tenant_id uuid not null
egress_record.id uuid not null
egress_record.function_id uuid not null
egress_record.version integer not null
egress_record.instance text not null
egress_record.at timestamp with time zone not null
egress_record.target text not null
egress_record.address text not null
egress_record.bytes_up bigint not null
egress_record.bytes_down bigint not null
egress_record.duration_ms bigint not null
egress_record.outcome text not null
egress_record.not_logged integer not null
egress_rule.tenant_id uuid not null
egress_rule.id uuid not null
egress_rule.function_id uuid
egress_rule.action text not null
egress_rule.host text not null
egress_rule.ports ARRAY not null
egress_rule.created_at timestamp with time zone not null default now()
egress_usage.tenant_id uuid not null
egress_usage.day date not null
egress_usage.function_id uuid not null
egress_usage.proxy text not null
egress_usage.connections bigint not null
egress_usage.bytes_up bigint not null
egress_usage.bytes_down bigint not null
egress_usage.open_ms bigint not null
function.id uuid not null
function.tenant_id uuid not null
function.name text not null
function.runtime text not null
function.revision integer not null default 1
function.next_version integer not null default 1
function.created_at timestamp with time zone not null default now()
idempotency.tenant_id uuid not null
idempotency.key text not null
idempotency.request_hash text not null
idempotency.status integer not null
idempotency.body jsonb not null
idempotency.created_at timestamp with time zone not null default now()
instance_failure.tenant_id uuid not null
instance_failure.function_id uuid not null
instance_failure.at timestamp with time zone not null
instance_failure.reason text not null
instance_failure.detail text not null
instance_failure.version integer not null
migration.name text not null
migration.applied_at timestamp with time zone not null default now()
operator_token.id uuid not null
operator_token.name text not null
operator_token.prefix text not null
operator_token.hash bytea not null
operator_token.created_at timestamp with time zone not null default now()
operator_token.expires_at timestamp with time zone
operator_token.revoked_at timestamp with time zone
partition_owner.partition integer not null
partition_owner.epoch integer not null default 0
partition_owner.taken_at timestamp with time zone not null default now()
partition_owner.holder text
partition_owner.expires_at timestamp with time zone
platform_condition.type text not null
platform_condition.place text not null
platform_condition.epoch integer not null
platform_condition.condition jsonb not null
tenant.id uuid not null
tenant.slug text not null
tenant.risk text not null default 'standard'::text
tenant.created_at timestamp with time zone not null default now()
token.id uuid not null
token.tenant_id uuid not null
token.name text not null
token.prefix text not null
token.hash bytea not null
token.scopes ARRAY not null
token.created_at timestamp with time zone not null default now()
token.expires_at timestamp with time zone
token.revoked_at timestamp with time zone
version.id uuid not null
version.tenant_id uuid not null
version.function_id uuid not null
version.number integer not null
version.state text not null default 'building'::text
version.config jsonb not null
version.source_digest text not null
version.image_digest text
version.image_bytes bigint
version.layer_diff_id text
version.base_digest text
version.entry jsonb
version.created_at timestamp with time zone not null default now()
version.layer_bytes bigint

-- constraints
alias: CHECK ((name = 'live'::text))
alias: FOREIGN KEY (tenant_id, function_id) REFERENCES function(tenant_id, id) ON DELETE CASCADE
alias: FOREIGN KEY (tenant_id, version_id) REFERENCES version(tenant_id, id) ON DELETE CASCADE
alias: PRIMARY KEY (tenant_id, function_id, name)
blob: CHECK ((digest ~ '^sha256:[0-9a-f]{64}$'::text))
blob: FOREIGN KEY (tenant_id) REFERENCES tenant(id)
blob: PRIMARY KEY (tenant_id, digest)
blob_chunk: CHECK ((index >= 0))
blob_chunk: CHECK ((length(data) <= 1048576))
blob_chunk: FOREIGN KEY (tenant_id, digest) REFERENCES blob(tenant_id, digest) ON DELETE CASCADE
blob_chunk: PRIMARY KEY (tenant_id, digest, index)
build: CHECK ((length(request_id) <= 64))
build: CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'superseded'::text])))
build: FOREIGN KEY (tenant_id, version_id) REFERENCES version(tenant_id, id) ON DELETE CASCADE
build: PRIMARY KEY (tenant_id, id)
build: UNIQUE (tenant_id, version_id)
build_event: FOREIGN KEY (tenant_id, build_id) REFERENCES build(tenant_id, id) ON DELETE CASCADE
build_event: PRIMARY KEY (tenant_id, build_id, seq)
egress_ceiling: FOREIGN KEY (tenant_id) REFERENCES tenant(id)
egress_ceiling: PRIMARY KEY (tenant_id)
egress_record: CHECK ((length(address) <= 300))
egress_record: CHECK ((length(instance) <= 100))
egress_record: CHECK ((length(outcome) <= 500))
egress_record: CHECK ((length(target) <= 300))
egress_record: FOREIGN KEY (tenant_id) REFERENCES tenant(id)
egress_record: FOREIGN KEY (tenant_id, function_id) REFERENCES function(tenant_id, id) ON DELETE CASCADE
egress_record: PRIMARY KEY (tenant_id, id)
egress_rule: CHECK ((action = ANY (ARRAY['allow'::text, 'deny'::text])))
egress_rule: CHECK ((length(host) <= 255))
egress_rule: FOREIGN KEY (tenant_id) REFERENCES tenant(id)
egress_rule: FOREIGN KEY (tenant_id, function_id) REFERENCES function(tenant_id, id) ON DELETE CASCADE
egress_rule: PRIMARY KEY (tenant_id, id)
egress_rule: UNIQUE NULLS NOT DISTINCT (tenant_id, function_id, host, ports)
egress_usage: CHECK ((length(proxy) <= 64))
egress_usage: FOREIGN KEY (tenant_id) REFERENCES tenant(id)
egress_usage: PRIMARY KEY (tenant_id, day, function_id, proxy)
function: CHECK (((name ~ '^[a-z](-?[a-z0-9])*$'::text) AND (length(name) <= 40)))
function: FOREIGN KEY (tenant_id) REFERENCES tenant(id)
function: PRIMARY KEY (tenant_id, id)
function: UNIQUE (tenant_id, name)
idempotency: CHECK ((length(key) <= 255))
idempotency: FOREIGN KEY (tenant_id) REFERENCES tenant(id)
idempotency: PRIMARY KEY (tenant_id, key)
instance_failure: FOREIGN KEY (tenant_id, function_id) REFERENCES function(tenant_id, id) ON DELETE CASCADE
instance_failure: PRIMARY KEY (tenant_id, function_id)
migration: PRIMARY KEY (name)
operator_token: CHECK ((length(hash) = 32))
operator_token: PRIMARY KEY (id)
partition_owner: CHECK ((length(holder) <= 253))
partition_owner: PRIMARY KEY (partition)
platform_condition: CHECK ((length(place) <= 64))
platform_condition: CHECK ((length(type) <= 64))
platform_condition: PRIMARY KEY (type, place)
tenant: CHECK (((slug ~ '^[a-z](-?[a-z0-9])*$'::text) AND (length(slug) <= 40)))
tenant: CHECK ((risk = ANY (ARRAY['standard'::text, 'elevated'::text])))
tenant: PRIMARY KEY (id)
tenant: UNIQUE (slug)
token: CHECK ((length(hash) = 32))
token: FOREIGN KEY (tenant_id) REFERENCES tenant(id)
token: PRIMARY KEY (tenant_id, id)
version: CHECK (((state = 'ready'::text) = (image_digest IS NOT NULL)))
version: CHECK ((state = ANY (ARRAY['building'::text, 'ready'::text, 'failed'::text, 'superseded'::text])))
version: FOREIGN KEY (tenant_id, function_id) REFERENCES function(tenant_id, id) ON DELETE CASCADE
version: PRIMARY KEY (tenant_id, id)
version: UNIQUE (tenant_id, function_id, number)

-- policies
alias: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
alias: system_read for SELECT to {fnctl_system} using (true) check ()
blob: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
blob_chunk: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
build: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
build: system_read for SELECT to {fnctl_system} using (true) check ()
build: system_take for UPDATE to {fnctl_system} using ((state = ANY (ARRAY['queued'::text, 'running'::text]))) check ((state = ANY (ARRAY['queued'::text, 'running'::text])))
build_event: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
egress_ceiling: app_own for SELECT to {fnctl_app} using ((tenant_id = current_tenant())) check ()
egress_ceiling: system_set for ALL to {fnctl_system} using (true) check (true)
egress_record: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
egress_rule: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
egress_rule: system_read for SELECT to {fnctl_system} using (true) check ()
egress_usage: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
function: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
function: system_read for SELECT to {fnctl_system} using (true) check ()
idempotency: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
instance_failure: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
tenant: app_own for SELECT to {fnctl_app} using ((id = current_tenant())) check ()
tenant: system_create for INSERT to {fnctl_system} using () check (true)
tenant: system_raise for UPDATE to {fnctl_system} using (true) check ((risk = 'elevated'::text))
tenant: system_read for SELECT to {fnctl_system} using (true) check ()
token: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
token: system_create for INSERT to {fnctl_system} using () check (true)
token: system_read for SELECT to {fnctl_system} using (true) check ()
version: app_own for ALL to {fnctl_app} using ((tenant_id = current_tenant())) check ((tenant_id = current_tenant()))
version: system_read for SELECT to {fnctl_system} using (true) check ()

-- grants
alias: DELETE, INSERT, SELECT, UPDATE to fnctl_app
alias: SELECT to fnctl_system
blob: DELETE, INSERT, SELECT, UPDATE to fnctl_app
blob_chunk: DELETE, INSERT, SELECT, UPDATE to fnctl_app
build: DELETE, INSERT, SELECT, UPDATE to fnctl_app
build: SELECT to fnctl_system
build_event: DELETE, INSERT, SELECT, UPDATE to fnctl_app
egress_ceiling: INSERT, SELECT, UPDATE to fnctl_system
egress_ceiling: SELECT to fnctl_app
egress_record: DELETE, INSERT, SELECT to fnctl_app
egress_rule: DELETE, INSERT, SELECT, UPDATE to fnctl_app
egress_rule: SELECT to fnctl_system
egress_usage: DELETE, INSERT, SELECT, UPDATE to fnctl_app
function: DELETE, INSERT, SELECT, UPDATE to fnctl_app
function: SELECT to fnctl_system
idempotency: DELETE, INSERT, SELECT, UPDATE to fnctl_app
instance_failure: DELETE, INSERT, SELECT, UPDATE to fnctl_app
operator_token: INSERT, SELECT to fnctl_system
partition_owner: SELECT, UPDATE to fnctl_system
platform_condition: INSERT, SELECT, UPDATE to fnctl_system
tenant: INSERT, SELECT to fnctl_system
tenant: SELECT to fnctl_app
token: INSERT, SELECT to fnctl_system
token: INSERT, SELECT, UPDATE to fnctl_app
version: DELETE, INSERT, SELECT, UPDATE to fnctl_app
version: SELECT to fnctl_system
