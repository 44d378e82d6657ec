-- One attempt of a client to connect, from its first anonymous step on: who makes it (as digests) and which client it
-- turned out to be. What happened in it stands in the journal; this only says which entries belong together. Beside it,
-- how often what was refused, because the journal takes only some of it.

create table attempts (
  tenant_id text not null,
  id text not null,
  visitor_digest text,
  address_digest text,
  client_id text,
  linked_to text,
  began_at bigint not null,
  authorized_at bigint,
  expires_at bigint not null,
  primary key (tenant_id, id),
  unique (tenant_id, visitor_digest),
  foreign key (tenant_id) references tenants (id) on delete cascade
);
create index attempts_by_began_at on attempts (tenant_id, began_at);
create index attempts_by_client_id on attempts (tenant_id, client_id, began_at);
create index attempts_by_linked_to on attempts (tenant_id, linked_to);
create index attempts_by_expires_at on attempts (expires_at);

alter table authorization_requests add column attempt text;
alter table grants add column attempt text;
alter table grants add column first_call_at bigint;

create table refusal_counts (
  tenant_id text not null,
  day bigint not null,
  client_id text not null,
  type text not null,
  error text not null,
  count bigint not null,
  expires_at bigint not null,
  primary key (tenant_id, day, client_id, type, error),
  foreign key (tenant_id) references tenants (id) on delete cascade
);
create index refusal_counts_by_expires_at on refusal_counts (expires_at);
