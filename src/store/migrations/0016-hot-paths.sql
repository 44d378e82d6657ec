-- Every token is a few writes, and each index makes one of them dearer: an entry without an attempt is looked for by none,
-- and a program's own grant is found by all that names it.
drop index journal_entries_by_attempt;
create index journal_entries_by_attempt on journal_entries (tenant_id, attempt) where attempt is not null;
create index grants_of_programs on grants (tenant_id, client_id, resource) where user_id is null;
