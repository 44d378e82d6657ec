-- Registrations of clients by themselves: an identical one is found again by its digest, and one that is never used goes
-- after a while, counted from the last time that it was asked for.

alter table clients add column registration_digest text;
alter table clients add column registered_at bigint;
update clients set registered_at = created_at where kind = 'registered';

create unique index clients_by_registration_digest on clients (tenant_id, registration_digest);
create index clients_never_used on clients (tenant_id, registered_at) where used_at is null;
create index clients_never_used_by_age on clients (registered_at) where used_at is null;
create index client_secrets_by_expires_at on client_secrets (expires_at);
