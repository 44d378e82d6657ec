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

-- Tokens belong to a holder, which is a connection or a sign-in at a provider: the reference to connections goes, and whoever
-- ends a holder takes its tokens away.
create table held_credentials (
  tenant_id text not null,
  connection_id text not null,
  binding text not null,
  generation bigint not null,
  access_token_sealed text not null,
  token_type text not null,
  refresh_token_sealed text,
  scope text,
  expires_at bigint,
  obtained_at bigint not null,
  last_refresh_at bigint,
  refresh_count bigint not null,
  next_refresh_at bigint,
  lease_owner text,
  lease_until bigint,
  intent_generation bigint,
  intent_at bigint,
  doubt text,
  doubt_until bigint,
  proof_key_sealed text,
  primary key (tenant_id, connection_id),
  foreign key (tenant_id) references tenants (id) on delete cascade
);
insert into held_credentials
select tenant_id, connection_id, binding, generation, access_token_sealed, token_type, refresh_token_sealed, scope,
  expires_at, obtained_at, last_refresh_at, refresh_count, next_refresh_at, lease_owner, lease_until, intent_generation,
  intent_at, doubt, doubt_until, proof_key_sealed
from credentials;
drop table credentials;
alter table held_credentials rename to credentials;
create index credentials_by_next_refresh_at on credentials (next_refresh_at);
