-- Where a tenant's people sign in elsewhere, each sign-in under way there, and what each one brought: sessions and grants
-- hang on it and end with it.
create table providers (
  tenant_id text not null,
  id text not null,
  slug text not null,
  kind text not null,
  name text not null,
  issuer text not null,
  endpoints text not null,
  client_id text not null,
  client_secret_sealed text,
  token_endpoint_auth_method text not null,
  scopes text not null,
  claims text not null,
  email_domains text not null,
  emails_are_verified bigint not null,
  links_verified_email bigint not null,
  keeps_tokens bigint not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id),
  unique (tenant_id, slug),
  unique (tenant_id, name),
  foreign key (tenant_id) references tenants (id) on delete cascade
);

create table sign_in_flows (
  tenant_id text not null,
  id text not null,
  provider_id text not null,
  browser_digest text not null,
  verifier_sealed text not null,
  next text not null,
  created_at bigint not null,
  expires_at bigint not null,
  claimed_at bigint,
  primary key (tenant_id, id),
  foreign key (tenant_id, provider_id) references providers (tenant_id, id) on delete cascade
);
create index sign_in_flows_by_expires_at on sign_in_flows (expires_at);

create table provider_grants (
  tenant_id text not null,
  id text not null,
  provider_id text not null,
  user_id text not null,
  subject text not null,
  sid text,
  created_at bigint not null,
  ended_at bigint,
  end_reason text,
  primary key (tenant_id, id),
  foreign key (tenant_id, provider_id) references providers (tenant_id, id) on delete cascade,
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index provider_grants_by_subject on provider_grants (tenant_id, provider_id, subject);
create index provider_grants_by_user_id on provider_grants (tenant_id, user_id);

alter table sessions add column provider_grant_id text;
create index sessions_by_provider_grant_id on sessions (tenant_id, provider_grant_id)
  where provider_grant_id is not null;
alter table grants add column provider_grant_id text;
create index grants_by_provider_grant_id on grants (tenant_id, provider_grant_id)
  where provider_grant_id is not null;
