-- Tokens of others that we have forgotten and their provider has not: asked again until it has, or often enough.
create table upstream_revocations (
  tenant_id text not null,
  id text not null,
  connection_id text not null,
  user_id text,
  issuer text not null,
  request_sealed text not null,
  tries bigint not null,
  next_try_at bigint not null,
  created_at bigint not null,
  primary key (tenant_id, id),
  foreign key (tenant_id) references tenants (id) on delete cascade
);
create index upstream_revocations_by_next_try_at on upstream_revocations (next_try_at);
