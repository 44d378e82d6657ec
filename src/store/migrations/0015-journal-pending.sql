-- An entry that is not in the chain yet is marked, so that a sealer finds just those, however late they became visible and
-- however many others there are.
alter table journal_entries add column is_pending bigint not null default 1;
update journal_entries set is_pending = 0 where exists (
  select 1 from journal_chain
  where journal_chain.tenant_id = journal_entries.tenant_id and journal_chain.entry_id = journal_entries.id
);
create index journal_entries_pending on journal_entries (tenant_id, at, id) where is_pending = 1;
