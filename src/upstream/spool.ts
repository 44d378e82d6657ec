// Refreshed tokens that the database did not take, sealed on disk until it does: a provider gives them once. When they are
// written and taken up is decided by refresh-store.ts.
import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import { Secret } from '../base/secret.ts'
import { syncName } from '../store/wal-sync.ts'
import { nameOf } from './held.ts'
import type { Binding, Held } from './held.ts'
import type { HolderKey } from './holder.ts'
import type { TokenSet } from './token-endpoint.ts'

/** Which tokens: those of one connection that follow this generation. */
export interface SpoolKey {
  readonly key: HolderKey
  readonly generation: number
}

/** Tokens that wait on disk. */
export interface Spooled extends SpoolKey {
  readonly binding: Binding
  readonly tokens: TokenSet
}

export interface Spool {
  /** Returns when the disk has them. What goes wrong is said in the log: then they wait in memory alone. */
  readonly put: (held: Held, tokens: TokenSet) => Promise<void>
  readonly find: (key: SpoolKey) => Promise<Spooled | undefined>
  readonly remove: (key: SpoolKey) => Promise<void>
  /** All that can be opened; what cannot stays where it is, and the log says so once. */
  readonly list: () => Promise<readonly Spooled[]>
}

interface Needs {
  readonly keyring: Pick<Keyring, 'seal' | 'open'>
  readonly log: Log
}

const filesMax = 10_000
const nameShape = /^[0-9a-f]{64}\.sealed$/

/** Makes the spool in a folder, which is made when it is needed; without one nothing is kept. */
export function createSpool(needs: Needs, folder: string | undefined): Spool {
  if (folder === undefined) return nothingKept
  const { log } = needs
  const told = new Set<string>()
  /** What goes wrong here costs nothing but itself, and is said once. */
  const unlessBroken = async <T>(name: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work()
    } catch (cause) {
      if (!told.has(name)) log.error({ name, cause }, 'refreshed tokens on disk cannot be opened')
      told.add(name)
      return undefined
    }
  }
  const read = (name: string) =>
    unlessBroken(name, async () => {
      const text = await readOptional(join(folder, name))
      return text === undefined ? undefined : unseal(needs, text)
    })
  return {
    put: async (held, tokens) => {
      try {
        await write(folder, fileOf(held), seal(needs, held, tokens))
      } catch (cause) {
        const { connectionId } = held.key
        log.error({ connectionId, cause }, 'refreshed tokens cannot be kept on disk either')
      }
    },
    find: (key) => read(fileOf(key)),
    remove: async (key) => {
      // One that stays behind fits no generation any more.
      await unlessBroken(fileOf(key), () => rm(join(folder, fileOf(key)), { force: true }))
    },
    list: async () => {
      const names = (await unlessBroken('.', () => listOptional(folder))) ?? []
      const found: Spooled[] = []
      for (const name of names.filter((one) => nameShape.test(one)).slice(0, filesMax)) {
        const spooled = await read(name)
        if (spooled !== undefined) found.push(spooled)
      }
      return found
    },
  }
}

const nothingKept: Spool = {
  put: async () => {},
  find: async () => undefined,
  remove: async () => {},
  list: async () => [],
}

/** One file for one generation, whichever process writes it. */
function fileOf(key: SpoolKey): string {
  return `${createHash('sha256').update(nameOf(key)).digest('hex')}.sealed`
}

/** The whole file or none, and on disk before this returns. */
async function write(folder: string, name: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const unfinished = join(folder, `${name}.part`)
  const file = await open(unfinished, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(unfinished, join(folder, name))
  syncName(folder)
}

async function readOptional(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(absent)
}

async function listOptional(folder: string): Promise<readonly string[]> {
  return (await readdir(folder).catch(absent)) ?? []
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
  throw error
}

/** What is readable without the key says only where the rest belongs, and opens nothing anywhere else. */
interface Envelope {
  readonly tenantId: string
  readonly connectionId: string
  readonly generation: number
  readonly sealed: string
}

interface Content {
  readonly binding: Binding
  readonly tokenType: TokenSet['tokenType']
  readonly accessToken: string
  readonly refreshToken: string | undefined
  /** The key that the tokens are bound to (RFC 9449 §6). */
  readonly proofKey: string | undefined
  readonly scope: string | undefined
  readonly expiresAt: number | undefined
}

function seal({ keyring }: Needs, held: Held, tokens: TokenSet): string {
  const { key, generation, binding } = held
  const content: Content = {
    binding,
    tokenType: tokens.tokenType,
    accessToken: tokens.accessToken.reveal(),
    refreshToken: (tokens.refreshToken ?? held.refreshToken)?.reveal(),
    proofKey: tokens.proofKey?.reveal(),
    scope: tokens.scope ?? held.scope,
    expiresAt: tokens.expiresAt,
  }
  const sealed = keyring.seal(new Secret(JSON.stringify(content)), placeOf({ key, generation }))
  const envelope: Envelope = { ...key, generation, sealed }
  return JSON.stringify(envelope)
}

/** Throws when it is no envelope of ours, or when it was sealed elsewhere or under a key that is not here. */
function unseal({ keyring }: Needs, text: string): Spooled {
  const { tenantId, connectionId, generation, sealed } = JSON.parse(text) as Envelope // a wrong one does not open
  const spoolKey = { key: { tenantId, connectionId }, generation }
  const opened = keyring.open(sealed, placeOf(spoolKey))
  const content = JSON.parse(opened.reveal()) as Content // only seal() makes what opens here
  const { binding, tokenType, accessToken, refreshToken, proofKey, scope, expiresAt } = content
  const tokens: TokenSet = {
    tokenType,
    accessToken: new Secret(accessToken),
    ...(refreshToken === undefined ? {} : { refreshToken: new Secret(refreshToken) }),
    ...(proofKey === undefined ? {} : { proofKey: new Secret(proofKey) }),
    ...(scope === undefined ? {} : { scope }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  }
  return { ...spoolKey, binding, tokens }
}

function placeOf({ key, generation }: SpoolKey) {
  const row = JSON.stringify([key.connectionId, generation])
  return { tenant: key.tenantId, table: 'spool', row, column: 'tokens' }
}
