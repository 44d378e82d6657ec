-- Which tools of a server may be called at all, and what people ask for help with. Whether a tenant takes such requests is a
-- row of its own; without one it does not.

alter table servers add column tool_policy text;

create table support_settings (
  tenant_id text not null primary key references tenants (id) on delete cascade,
  support text not null,
  updated_at bigint not null
);

create table support_requests (
  tenant_id text not null references tenants (id) on delete cascade,
  id text not null,
  user_id text not null,
  client_id text not null,
  title text not null,
  description text not null,
  context text,
  email text,
  email_verified bigint not null,
  status text not null,
  priority text not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index support_requests_created on support_requests (tenant_id, created_at, id);
create index support_requests_status on support_requests (tenant_id, status, created_at, id);
create index support_requests_user on support_requests (tenant_id, user_id, created_at);
