-- What was done for one person, newest first: each of them may look, and must not read everybody's for it.

create index journal_entries_by_user on journal_entries (tenant_id, user_id, at, id) where user_id is not null;
