-- A server may be reached with the token of the caller's own sign-in at a provider of the tenant. The ids of providers are
-- random, so that one column can refer to them; that both are of one tenant is checked where the column is written.
create unique index providers_by_id on providers (id);

alter table servers add column provider_id text references providers (id);
create index servers_by_provider_id on servers (provider_id) where provider_id is not null;

-- Sign-ins at providers that ended are thrown away after a while.
create index provider_grants_by_ended_at on provider_grants (ended_at) where ended_at is not null;
