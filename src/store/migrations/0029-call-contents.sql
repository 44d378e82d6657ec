-- What was said in calls, for tenants that want it kept: for how many days a tenant keeps it (null: nothing is), and a row for
-- each such call. Both texts are sealed. A journal entry names its row, and knows nothing of what is in it.

alter table tenants add column call_content_days bigint;

create table call_contents (
  tenant_id text not null references tenants (id) on delete cascade,
  id text not null,
  -- Null for a client that acts for itself.
  user_id text,
  client_id text not null,
  server_id text not null,
  server text not null,
  method text not null,
  -- Null for what is no call of a tool.
  tool text,
  status bigint not null,
  duration_ms bigint not null,
  input_sealed text not null,
  input_cut bigint not null,
  -- Null where no answer came.
  output_sealed text,
  output_cut bigint not null,
  created_at bigint not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index call_contents_created on call_contents (tenant_id, created_at, id);
create index call_contents_user on call_contents (tenant_id, user_id, created_at, id);
