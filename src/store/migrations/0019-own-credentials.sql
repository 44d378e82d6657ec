-- Servers that are reached without a browser: with our own credential, or with what a person's identity provider says of
-- them. A connection of the tenant belongs to its server; its user is only who needed it first. Keys of ours prove us at token
-- endpoints, and bind tokens (DPoP).
alter table servers add column grant_type text not null default 'authorization_code';
alter table servers add column grant_settings text;
alter table servers add column provider_secret_sealed text;
alter table servers add column client_key_sealed text;
alter table servers add column client_key_public text;
alter table registrations add column client_key_sealed text;

alter table connections add column of_tenant bigint not null default 0;
create unique index connections_of_tenant on connections (tenant_id, server_id) where of_tenant = 1;

alter table credentials add column proof_key_sealed text;

create table subject_tokens (
  tenant_id text not null,
  user_id text not null,
  issuer text not null,
  subject text not null,
  token_sealed text not null,
  expires_at bigint not null,
  created_at bigint not null,
  primary key (tenant_id, user_id, issuer),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index subject_tokens_by_expires_at on subject_tokens (expires_at);
