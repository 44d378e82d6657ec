-- Tenants that are made by hand: how their pages look, how much they may use, and since when one is switched off.
-- Null: as the installation is. A limit is in hundredths of the installation's.

alter table tenants add column disabled_at bigint;
alter table tenants add column accent text;
alter table tenants add column logo_url text;
alter table tenants add column support_contact text;
alter table tenants add column limit_percent bigint;
