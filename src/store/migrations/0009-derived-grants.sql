-- What is made from something that somebody else has or says: tokens that were exchanged for other tokens (RFC 8693), and
-- grants that a trusted issuer speaks for (ID-JAG).

alter table grants add column parent_grant_id text;
alter table grants add column trusted_issuer_id text;
create index grants_by_parent_grant_id on grants (tenant_id, parent_grant_id);
create index grants_by_trusted_issuer_id on grants (tenant_id, trusted_issuer_id, user_id);

alter table access_tokens add column actors text;

create table token_ancestors (
  tenant_id text not null,
  token_digest text not null,
  ancestor_digest text not null,
  primary key (tenant_id, token_digest, ancestor_digest),
  foreign key (tenant_id, token_digest) references access_tokens (tenant_id, token_digest) on delete cascade
);

create table trusted_issuers (
  tenant_id text not null,
  id text not null,
  issuer text not null,
  jwks_uri text,
  jwks text,
  client_ids text not null,
  resources text not null,
  provisions bigint not null,
  created_at bigint not null,
  disabled_at bigint,
  primary key (tenant_id, id),
  unique (tenant_id, issuer),
  foreign key (tenant_id) references tenants (id) on delete cascade
);

alter table identities rename column provider to issuer;
alter table identities add column last_used_at bigint;
