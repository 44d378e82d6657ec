-- Who may use a server and how it is spoken to, and which connections are used by more than their owner. What a server
-- asked for beyond what its connection holds is counted by operation, so that nobody is sent to sign in again and again.

alter table servers add column may_use text;
alter table servers add column transport text;

alter table connections add column shared_at bigint;
alter table connections add column sign_ins bigint not null default 0;
alter table connections add column step_up_scope text;
create index connections_shared on connections (tenant_id, server_id, shared_at) where shared_at is not null;

create table step_ups (
  tenant_id text not null,
  connection_id text not null,
  operation text not null,
  scope text not null,
  sign_in bigint not null,
  rounds bigint not null,
  asked_at bigint not null,
  primary key (tenant_id, connection_id, operation),
  foreign key (tenant_id, connection_id) references connections (tenant_id, id) on delete cascade
);
