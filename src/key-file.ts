// The master key at rest: from the settings, else from a file that is made at the first start of a new database, readable
// by its owner only. A database remembers the ids of its keys, so that a start with a wrong key is refused.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from './base/clock.ts'
import type { Keyring, MasterKey } from './base/keyring.ts'
import { parseMasterKeys } from './base/keyring.ts'
import type { Random } from './base/random.ts'
import type { Config } from './config.ts'
import type { Database } from './store/database.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
}

/** Where the master key is. */
export interface KeySource extends Pick<Config, 'key' | 'keyFile'> {
  /** What a key that is given is called where somebody has to mend it. */
  readonly keyName?: string
}

const keyBytes = 32
const settingName = 'LATCHKEY_KEY'

/** The live master keys, the active one first. Throws an Error in plain words when they are not this database's. */
export async function openMasterKeys(
  { db, clock, random }: Needs,
  config: KeySource,
): Promise<readonly MasterKey[]> {
  const known = await db.selectFrom('master_keys').select('key_id').execute()
  const isNew = known.length === 0
  const keys = readMasterKeys(config, { random, isNew })
  const isOurs = isNew || keys.some(({ id }) => known.some(({ key_id }) => key_id === id))
  if (!isOurs)
    throw wrongKey(
      config,
      known.map(({ key_id }) => key_id),
    )
  await db
    .insertInto('master_keys')
    .values(keys.map(({ id }) => ({ key_id: id, first_used_at: clock.now() })))
    .onConflict((conflict) => conflict.column('key_id').doNothing())
    .execute()
  return keys
}

/** A master key as this database knows it. */
export interface MasterKeyStatus {
  readonly id: string
  /** The active one seals and opens; an absent one was used, and is not among the keys of the settings. */
  readonly state: 'active' | 'opens' | 'absent'
  readonly firstUsedAt: number
}

/** The master keys that this database was used with, oldest first. */
export async function listMasterKeys({
  db,
  keyring,
}: {
  readonly db: Database
  readonly keyring: Pick<Keyring, 'keyIds'>
}): Promise<readonly MasterKeyStatus[]> {
  const rows = await db.selectFrom('master_keys').selectAll().orderBy('first_used_at').execute()
  const [active] = keyring.keyIds
  return rows.map(({ key_id: id, first_used_at: firstUsedAt }) => {
    const state = keyring.keyIds.includes(id) ? 'opens' : 'absent'
    return { id, state: id === active ? 'active' : state, firstUsedAt }
  })
}

function readMasterKeys(
  { key, keyFile, keyName = settingName }: KeySource,
  { random, isNew }: { readonly random: Random; readonly isNew: boolean },
): readonly MasterKey[] {
  if (key !== undefined) return readKeys(keyName, key.reveal())
  if (!existsSync(keyFile) && isNew) makeKeyFile(keyFile, random)
  if (!existsSync(keyFile)) {
    throw new Error(
      `There is no key file at ${keyFile}, but the database was made with one. Restore it, or set LATCHKEY_KEY_FILE.`,
    )
  }
  return readKeys(`The key file ${keyFile}`, readFileSync(keyFile, 'utf8'))
}

function readKeys(place: string, text: string): readonly MasterKey[] {
  try {
    return parseMasterKeys(text)
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : 'it cannot be read'
    throw new Error(`${place}: ${words}. "openssl rand -base64 32" makes one.`, { cause })
  }
}

/** Never overwrites: of two first starts at once one writes, and both read what was written. */
function makeKeyFile(file: string, random: Random): void {
  const key = Buffer.from(random.secretBytes(keyBytes)).toString('base64url')
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(file, `${key}\n`, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    if (!existsSync(file)) throw new Error(`The key file ${file} cannot be written.`, { cause })
  }
}

function wrongKey(
  { key, keyFile, keyName = settingName }: KeySource,
  ids: readonly string[],
): Error {
  const place = key === undefined ? `The key in ${keyFile}` : keyName
  const orElse = keyName === settingName ? ', or set LATCHKEY_KEY_FILE' : ''
  return new Error(
    `${place} is not the one this database was made with (${ids.join(', ')}). Nothing that is stored could be opened. Restore that key${orElse}.`,
  )
}
