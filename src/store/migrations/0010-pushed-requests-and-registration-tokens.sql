-- Requests that clients push ahead of the browser (RFC 9126), each good for one start of an authorization, and the token
-- by which a client manages its own registration (RFC 7592), as a keyed digest.

create table pushed_requests (
  tenant_id text not null,
  request_digest text not null,
  id text not null,
  client_id text not null,
  parameters text not null,
  created_at bigint not null,
  expires_at bigint not null,
  claimed_at bigint,
  primary key (tenant_id, request_digest),
  foreign key (tenant_id, client_id) references clients (tenant_id, id) on delete cascade
);
create index pushed_requests_by_expires_at on pushed_requests (expires_at);
create index pushed_requests_by_client_id on pushed_requests (tenant_id, client_id);

alter table clients add column registration_token_digest text;
