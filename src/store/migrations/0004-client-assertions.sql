-- Which client assertions were seen: each is good for one request, until it would have expired anyway.
create table client_assertions (
  tenant_id text not null,
  assertion_id text not null,
  client_id text not null,
  expires_at bigint not null,
  primary key (tenant_id, assertion_id),
  foreign key (tenant_id, client_id) references clients (tenant_id, id) on delete cascade
);
create index client_assertions_by_expires_at on client_assertions (expires_at);
create index client_assertions_by_client_id on client_assertions (tenant_id, client_id);
