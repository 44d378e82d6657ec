// A name that a process has until it ends, and that the next one in its place inherits: whoever gets it knows that the one
// before is dead. The operating system takes the lock from a process however it ends, and SQLite makes that lock on every
// system.
import { closeSync, openSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { isBusy } from './group-commit.ts'

export interface ProcessName {
  readonly name: string
  /** Lets the next one have it. */
  readonly release: () => void
}

/**
 * Takes the name that the file keeps; undefined while another process has it. A file that was copied, or that another
 * machine made, gets a new name: there the one before may be alive. Throws what the system says of a file that cannot be
 * written.
 */
export function takeProcessName(file: string, newName: () => string): ProcessName | undefined {
  closeSync(openSync(file, 'a', 0o600))
  const database = new DatabaseSync(file, { timeout: 0 })
  try {
    // The lock is kept after the transaction, until the connection is closed or the process is gone.
    database.exec('pragma locking_mode = exclusive')
    database.exec('begin exclusive')
    const name = nameIn(database, placeOf(file), newName)
    database.exec('commit')
    return { name, release: () => database.close() }
  } catch (error) {
    database.close()
    if (isBusy(error)) return undefined
    throw error
  }
}

function nameIn(database: DatabaseSync, place: string, newName: () => string): string {
  database.exec('create table if not exists process (name text not null, place text not null)')
  const kept = database.prepare('select name from process where place = ?').get(place)?.['name']
  if (typeof kept === 'string') return kept
  const name = newName()
  database.exec('delete from process')
  database.prepare('insert into process (name, place) values (?, ?)').run(name, place)
  return name
}

function placeOf(file: string): string {
  const { dev, ino } = statSync(file, { bigint: true })
  return [hostname(), dev, ino].join(' ')
}
