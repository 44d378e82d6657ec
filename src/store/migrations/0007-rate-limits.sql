-- How much of each quota is used, shared by every instance: one row for one key, used again in its next window. There is no
-- foreign key, because counting must not wait for anybody who changes a tenant.
create table rate_limits (
  tenant_id text not null,
  key_digest text not null,
  taken bigint not null,
  expires_at bigint not null,
  primary key (tenant_id, key_digest)
);
create index rate_limits_by_expires_at on rate_limits (expires_at);
