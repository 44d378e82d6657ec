// A database that works, and does not take refreshed tokens: the moment for which there is a spool.
import { sql } from 'kysely'
import type { Store } from '../src/store/database.ts'

/** From now on it refuses new tokens, until what this gives is called. */
export async function refuseTokens({ db, engine }: Store): Promise<() => Promise<void>> {
  if (engine === 'postgres') {
    await sql`create or replace function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'the disk is full'; end $$`.execute(db)
    await sql`create trigger full_disk before update of generation on credentials
      for each row execute function refuse()`.execute(db)
    return async () => void (await sql`drop trigger full_disk on credentials`.execute(db))
  }
  await sql`create trigger full_disk before update of generation on credentials
    begin select raise(abort, 'the disk is full'); end`.execute(db)
  return async () => void (await sql`drop trigger full_disk`.execute(db))
}
