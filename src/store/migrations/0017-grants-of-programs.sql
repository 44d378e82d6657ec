-- A program's own grant is looked for with every token: an index that has all of it in order needs nothing to be sorted.
drop index grants_of_programs;
create index grants_of_programs on grants (tenant_id, client_id, resource, scope, created_at)
  where user_id is null and revoked_at is null;
