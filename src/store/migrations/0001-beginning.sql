-- The first shape of the store: portable SQL that runs on SQLite and on Postgres alike.
-- Once landed this file never changes; a change is a new file.

create table tenants (
  id text not null,
  slug text not null,
  issuer text not null,
  name text not null,
  created_at bigint not null,
  primary key (id),
  unique (slug),
  unique (issuer)
);

create table users (
  tenant_id text not null,
  id text not null,
  email text,
  email_verified bigint not null,
  name text,
  role text not null,
  disabled_at bigint,
  created_at bigint not null,
  primary key (tenant_id, id),
  unique (tenant_id, email),
  foreign key (tenant_id) references tenants (id) on delete cascade
);

create table identities (
  tenant_id text not null,
  provider text not null,
  subject text not null,
  user_id text not null,
  created_at bigint not null,
  primary key (tenant_id, provider, subject),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index identities_by_user_id on identities (tenant_id, user_id);

create table passwords (
  tenant_id text not null,
  user_id text not null,
  hash text not null,
  updated_at bigint not null,
  primary key (tenant_id, user_id),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);

create table sessions (
  tenant_id text not null,
  session_digest text not null,
  user_id text not null,
  created_at bigint not null,
  last_used_at bigint not null,
  expires_at bigint not null,
  primary key (tenant_id, session_digest),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index sessions_by_expires_at on sessions (expires_at);
create index sessions_by_user_id on sessions (tenant_id, user_id);

create table api_keys (
  tenant_id text not null,
  id text not null,
  key_digest text not null,
  user_id text not null,
  name text not null,
  scopes text not null,
  created_at bigint not null,
  last_used_at bigint,
  expires_at bigint,
  revoked_at bigint,
  primary key (tenant_id, id),
  unique (tenant_id, key_digest),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index api_keys_by_user_id on api_keys (tenant_id, user_id);

create table setup_links (
  tenant_id text not null,
  link_digest text not null,
  created_at bigint not null,
  expires_at bigint not null,
  claimed_at bigint,
  primary key (tenant_id, link_digest),
  foreign key (tenant_id) references tenants (id) on delete cascade
);
create index setup_links_by_expires_at on setup_links (expires_at);

create table clients (
  tenant_id text not null,
  id text not null,
  kind text not null,
  name text not null,
  metadata text not null,
  metadata_digest text not null,
  token_endpoint_auth_method text not null,
  created_at bigint not null,
  created_by text,
  used_at bigint,
  disabled_at bigint,
  fresh_until bigint,
  primary key (tenant_id, id),
  foreign key (tenant_id) references tenants (id) on delete cascade
);
create index clients_by_created_at on clients (tenant_id, created_at);

create table client_secrets (
  tenant_id text not null,
  client_id text not null,
  secret_digest text not null,
  created_at bigint not null,
  expires_at bigint,
  primary key (tenant_id, client_id, secret_digest),
  foreign key (tenant_id, client_id) references clients (tenant_id, id) on delete cascade
);

create table authorization_requests (
  tenant_id text not null,
  id text not null,
  browser_digest text not null,
  client_id text not null,
  redirect_uri text not null,
  state text,
  scope text not null,
  resource text not null,
  code_challenge text not null,
  nonce text,
  prompt text,
  created_at bigint not null,
  expires_at bigint not null,
  claimed_at bigint,
  primary key (tenant_id, id),
  foreign key (tenant_id, client_id) references clients (tenant_id, id) on delete cascade
);
create index authorization_requests_by_expires_at on authorization_requests (expires_at);
create index authorization_requests_by_client_id on authorization_requests (tenant_id, client_id);

create table consents (
  tenant_id text not null,
  user_id text not null,
  client_id text not null,
  redirect_host text not null,
  resource text not null,
  scope text not null,
  metadata_digest text not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, user_id, client_id, redirect_host, resource),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade,
  foreign key (tenant_id, client_id) references clients (tenant_id, id) on delete cascade
);
create index consents_by_client_id on consents (tenant_id, client_id);

create table grants (
  tenant_id text not null,
  id text not null,
  user_id text,
  client_id text not null,
  resource text not null,
  scope text not null,
  created_at bigint not null,
  last_used_at bigint,
  revoked_at bigint,
  revoke_reason text,
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade,
  foreign key (tenant_id, client_id) references clients (tenant_id, id) on delete cascade
);
create index grants_by_user_id on grants (tenant_id, user_id);
create index grants_by_client_id on grants (tenant_id, client_id);

create table codes (
  tenant_id text not null,
  code_digest text not null,
  grant_id text not null,
  client_id text not null,
  redirect_uri text not null,
  code_challenge text not null,
  created_at bigint not null,
  expires_at bigint not null,
  claimed_at bigint,
  primary key (tenant_id, code_digest),
  foreign key (tenant_id, grant_id) references grants (tenant_id, id) on delete cascade
);
create index codes_by_expires_at on codes (expires_at);
create index codes_by_grant_id on codes (tenant_id, grant_id);

create table access_tokens (
  tenant_id text not null,
  token_digest text not null,
  grant_id text not null,
  client_id text not null,
  user_id text,
  scope text not null,
  resource text not null,
  created_at bigint not null,
  expires_at bigint not null,
  revoked_at bigint,
  primary key (tenant_id, token_digest),
  foreign key (tenant_id, grant_id) references grants (tenant_id, id) on delete cascade
);
create index access_tokens_by_expires_at on access_tokens (expires_at);
create index access_tokens_by_grant_id on access_tokens (tenant_id, grant_id);

create table refresh_tokens (
  tenant_id text not null,
  token_digest text not null,
  grant_id text not null,
  client_id text not null,
  generation bigint not null,
  created_at bigint not null,
  expires_at bigint not null,
  claimed_at bigint,
  replay_sealed text,
  replay_until bigint,
  primary key (tenant_id, token_digest),
  foreign key (tenant_id, grant_id) references grants (tenant_id, id) on delete cascade
);
create index refresh_tokens_by_expires_at on refresh_tokens (expires_at);
create index refresh_tokens_by_grant_id on refresh_tokens (tenant_id, grant_id);

create table servers (
  tenant_id text not null,
  id text not null,
  slug text not null,
  name text not null,
  url text not null,
  auth text not null,
  headers_sealed text,
  header_names text not null,
  issuer text,
  client_id text,
  client_secret_sealed text,
  scopes text,
  context text not null,
  created_by text,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id),
  unique (tenant_id, slug),
  unique (tenant_id, context),
  foreign key (tenant_id) references tenants (id) on delete cascade
);

create table connections (
  tenant_id text not null,
  id text not null,
  server_id text not null,
  user_id text not null,
  label text not null,
  status text not null,
  status_reason text,
  last_error text,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id),
  unique (tenant_id, server_id, user_id, label),
  foreign key (tenant_id, server_id) references servers (tenant_id, id) on delete cascade,
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index connections_by_user_id on connections (tenant_id, user_id);

create table discoveries (
  tenant_id text not null,
  resource_url text not null,
  document text not null,
  fetched_at bigint not null,
  expires_at bigint not null,
  primary key (tenant_id, resource_url),
  foreign key (tenant_id) references tenants (id) on delete cascade
);
create index discoveries_by_expires_at on discoveries (expires_at);

create table registrations (
  tenant_id text not null,
  server_id text not null,
  issuer text not null,
  redirect_uri text not null,
  method text not null,
  client_id text not null,
  client_secret_sealed text,
  client_secret_expires_at bigint,
  token_endpoint_auth_method text not null,
  registration_access_token_sealed text,
  registration_client_uri text,
  created_at bigint not null,
  primary key (tenant_id, server_id, issuer, redirect_uri),
  foreign key (tenant_id, server_id) references servers (tenant_id, id) on delete cascade
);
create index registrations_by_issuer on registrations (tenant_id, issuer);

create table flows (
  tenant_id text not null,
  id text not null,
  connection_id text not null,
  user_id text not null,
  browser_digest text,
  issuer text not null,
  context text not null,
  plan text not null,
  verifier_sealed text not null,
  status text not null,
  error text,
  retryable bigint,
  return_to text,
  trace text not null,
  created_at bigint not null,
  expires_at bigint not null,
  claimed_at bigint,
  completed_at bigint,
  primary key (tenant_id, id),
  foreign key (tenant_id, connection_id) references connections (tenant_id, id) on delete cascade
);
create index flows_by_expires_at on flows (expires_at);
create index flows_by_connection_id on flows (tenant_id, connection_id);

create table credentials (
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
  primary key (tenant_id, connection_id),
  foreign key (tenant_id, connection_id) references connections (tenant_id, id) on delete cascade
);
create index credentials_by_next_refresh_at on credentials (next_refresh_at);

create table journal_entries (
  tenant_id text not null,
  id text not null,
  at bigint not null,
  type text not null,
  actor_kind text not null,
  actor_id text,
  user_id text,
  subject_kind text,
  subject_id text,
  attempt text,
  data text not null,
  primary key (tenant_id, id)
);
create index journal_entries_by_at on journal_entries (tenant_id, at);
create index journal_entries_by_attempt on journal_entries (tenant_id, attempt);
create index journal_entries_by_subject_id on journal_entries (tenant_id, subject_id);

create table journal_chain (
  tenant_id text not null,
  seq bigint not null,
  entry_id text not null,
  hash text not null,
  primary key (tenant_id, seq),
  unique (tenant_id, entry_id)
);

create table journal_heads (
  tenant_id text not null,
  seq bigint not null,
  hash text not null,
  primary key (tenant_id)
);

create table idempotency_keys (
  tenant_id text not null,
  principal text not null,
  key_digest text not null,
  request_digest text not null,
  response_sealed text,
  created_at bigint not null,
  expires_at bigint not null,
  primary key (tenant_id, principal, key_digest)
);
create index idempotency_keys_by_expires_at on idempotency_keys (expires_at);
