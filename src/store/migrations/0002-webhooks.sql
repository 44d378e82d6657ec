-- Webhooks: who is told, how far each has read the journal, and what is on its way to them.

create table webhooks (
  tenant_id text not null,
  id text not null,
  url text not null,
  description text not null,
  event_types text not null,
  secret_sealed text not null,
  previous_secret_sealed text,
  previous_secret_expires_at bigint,
  cursor_seq bigint not null,
  failures bigint not null,
  failing_since bigint,
  paused_until bigint,
  disabled_at bigint,
  disabled_reason text,
  lease_owner text,
  lease_until bigint,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id),
  foreign key (tenant_id) references tenants (id) on delete cascade
);

create table webhook_deliveries (
  tenant_id text not null,
  id text not null,
  webhook_id text not null,
  entry_id text not null,
  seq bigint not null,
  event_type text not null,
  order_key text not null,
  body text not null,
  status text not null,
  attempt_count bigint not null,
  attempts text not null,
  failures bigint not null,
  next_attempt_at bigint not null,
  give_up_at bigint not null,
  created_at bigint not null,
  finished_at bigint,
  expires_at bigint,
  primary key (tenant_id, id),
  unique (tenant_id, webhook_id, entry_id),
  foreign key (tenant_id, webhook_id) references webhooks (tenant_id, id) on delete cascade
);
create index webhook_deliveries_by_order on webhook_deliveries (tenant_id, webhook_id, status, order_key, seq);
create index webhook_deliveries_by_give_up_at on webhook_deliveries (tenant_id, webhook_id, status, give_up_at);
create index webhook_deliveries_by_created_at on webhook_deliveries (tenant_id, webhook_id, created_at);
create index webhook_deliveries_by_expires_at on webhook_deliveries (expires_at);
