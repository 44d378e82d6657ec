-- Devices that wait for a person to let them in (RFC 8628), and how often a code was typed wrong.

create table device_codes (
  tenant_id text not null,
  id text not null,
  device_code_digest text not null,
  user_code_digest text not null,
  user_code_sealed text not null,
  client_id text not null,
  resource text not null,
  scope text not null,
  interval_s bigint not null,
  last_polled_at bigint,
  guesses_before bigint not null,
  device_address text,
  device_agent text,
  status text not null,
  user_id text,
  session_digest text,
  browser_digest text,
  decided_at bigint,
  grant_id text,
  created_at bigint not null,
  expires_at bigint not null,
  claimed_at bigint,
  primary key (tenant_id, id),
  unique (tenant_id, device_code_digest),
  unique (tenant_id, user_code_digest),
  foreign key (tenant_id, client_id) references clients (tenant_id, id) on delete cascade,
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade,
  foreign key (tenant_id, grant_id) references grants (tenant_id, id) on delete cascade
);
create index device_codes_by_expires_at on device_codes (expires_at);
create index device_codes_by_client_id on device_codes (tenant_id, client_id);
create index device_codes_by_user_id on device_codes (tenant_id, user_id);
create index device_codes_by_grant_id on device_codes (tenant_id, grant_id);

create table device_guesses (
  tenant_id text not null,
  guesser text not null,
  wrong bigint not null,
  expires_at bigint,
  primary key (tenant_id, guesser),
  foreign key (tenant_id) references tenants (id) on delete cascade
);
create index device_guesses_by_expires_at on device_guesses (expires_at);
