-- What operators need: how the access tokens for a server look, and a signing key that is to sign before its turn.

alter table servers add column token_format text not null default 'opaque';

alter table signing_keys add column activate_at bigint;
create index signing_keys_active on signing_keys (activated_at) where retired_at is null;
create index signing_keys_to_activate on signing_keys (activate_at) where activated_at is null;

-- A client secret that was found somewhere is looked up without knowing whose it is.
create index client_secrets_by_secret_digest on client_secrets (tenant_id, secret_digest);
