-- What a tenant says about scopes: its own ones, and other words for those that every tenant has. Which tools of a server
-- a scope opens is said at the server. Grants count their uses.

create table scopes (
  tenant_id text not null,
  name text not null,
  words text not null,
  icon text not null,
  is_usual bigint not null,
  includes text not null,
  created_at bigint not null,
  updated_at bigint not null,
  created_by text,
  primary key (tenant_id, name),
  foreign key (tenant_id) references tenants (id) on delete cascade
);

alter table servers add column tool_scopes text;
create index servers_by_url on servers (tenant_id, url);

alter table grants add column first_used_at bigint;
alter table grants add column use_count bigint not null default 0;
