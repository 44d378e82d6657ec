-- DPoP (RFC 9449): which proofs were seen, and the key (by its thumbprint) that a code, an access token or a refresh token
-- is bound to.
create table dpop_proofs (
  tenant_id text not null,
  proof_id text not null,
  expires_at bigint not null,
  primary key (tenant_id, proof_id)
);
create index dpop_proofs_by_expires_at on dpop_proofs (expires_at);

alter table authorization_requests add column dpop_jkt text;
alter table codes add column dpop_jkt text;
alter table access_tokens add column jkt text;
alter table refresh_tokens add column jkt text;
