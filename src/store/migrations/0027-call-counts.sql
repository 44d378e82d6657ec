-- How often who called what through which client, per day: what charts are drawn from, where the journal would have to be read
-- whole.

create table call_counts (
  tenant_id text not null,
  day bigint not null,
  -- Empty for a client that acts for itself.
  user_id text not null,
  client_id text not null,
  server_id text not null,
  -- Empty for what is no call of a tool.
  tool text not null,
  outcome text not null,
  count bigint not null,
  duration_ms bigint not null,
  expires_at bigint not null,
  primary key (tenant_id, day, user_id, client_id, server_id, tool, outcome),
  foreign key (tenant_id) references tenants (id) on delete cascade
);
create index call_counts_by_expires_at on call_counts (expires_at);
