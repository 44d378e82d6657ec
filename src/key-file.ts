// The master key at rest: from the settings, else from a file that is made at first start, readable by its owner only.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { MasterKey } from './base/keyring.ts'
import { parseMasterKeys } from './base/keyring.ts'
import type { Random } from './base/random.ts'
import type { Config } from './config.ts'

const keyBytes = 32

/** The live master keys, the active one first. Throws an Error in plain words when there is none to be had. */
export function readMasterKeys(
  { key, keyFile }: Pick<Config, 'key' | 'keyFile'>,
  random: Random,
): readonly MasterKey[] {
  if (key !== undefined) return parseMasterKeys(key.reveal())
  if (!existsSync(keyFile)) makeKeyFile(keyFile, random)
  return parseMasterKeys(readFileSync(keyFile, 'utf8'))
}

/** Never overwrites: of two first starts at once one writes, and both read what was written. */
function makeKeyFile(file: string, random: Random): void {
  const key = Buffer.from(random.secretBytes(keyBytes)).toString('base64url')
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(file, `${key}\n`, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    if (!existsSync(file)) throw new Error(`the key file ${file} cannot be written`, { cause })
  }
}
