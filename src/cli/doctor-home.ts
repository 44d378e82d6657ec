// `latchkey doctor` without an address: is this installation in order? Its settings, its database, its keys, and whether its
// public address answers as it should. A database that was never made or has to be migrated is left as it is.
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { readConfig } from '../config.ts'
import type { Config, Environment } from '../config.ts'
import { openConfiguredStore } from '../configured-store.ts'
import { openWorkshop } from '../workshop.ts'
import type { Workshop } from '../workshop.ts'
import type { Store } from '../store/database.ts'
import { migrate } from '../store/migrate.ts'
import { bearerChallenge } from '../upstream/protected-resource.ts'
import { note, right, stopping, wrong } from './doctor-finding.ts'
import type { Finding, Subject } from './doctor-finding.ts'
import { cautions } from './cautions.ts'
import { wordsOf } from './terminal.ts'
import { checkServer } from './test-flow-checks.ts'
import { createAskServer } from './test-flow-http.ts'
import type { AskServer } from './test-flow-http.ts'

type Tell = (finding: Finding) => void

/** Everything about this installation, up to the first thing that hides the rest. */
export async function examineHome(environment: Environment): Promise<readonly Finding[]> {
  const found: Finding[] = []
  await examine(environment, (finding) => found.push(finding))
  return found
}

async function examine(environment: Environment, tell: Tell): Promise<void> {
  const config = await attempt(tell, places.settings, async () => readConfig(environment))
  if (config === undefined) return
  tell(right({ about: 'settings', code: 'settings', words: 'All settings can be used.' }))
  for (const words of cautions(config)) tell(note({ about: 'settings', code: 'caution', words }))
  if (!isMade(config)) return tell(notMade(config))
  const store = await attempt(tell, places.database, () => openConfiguredStore(config))
  if (store === undefined) return
  try {
    if (await isMigrated(store, tell)) await examineInside({ config, store }, tell)
  } finally {
    await store.close()
  }
}

const places = {
  settings: { about: 'settings', code: 'settings_unusable', how: 'Mend that setting.' },
  database: {
    about: 'storage',
    code: 'database_unreachable',
    how: 'Check that the database runs and that this place in the settings is the right one.',
  },
  keys: {
    about: 'storage',
    code: 'keys_unusable',
    how: 'Restore the key of this database: without it nothing that is sealed can be opened.',
  },
  address: {
    about: 'address',
    code: 'not_answering',
    how: 'Check that "latchkey start" runs, and that LATCHKEY_PUBLIC_URL leads to it, through any proxy.',
  },
} as const

/** What the work gives; where it fails that is told, and nothing after it is known. */
async function attempt<T>(
  tell: Tell,
  { about, code, how }: { readonly about: Subject; readonly code: string; readonly how: string },
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    const words = wordsOf(error)
    tell(stopping(wrong({ about, code, words, mend: { by: 'administrator', how } })))
    return undefined
  }
}

function isMade({ databaseUrl, dataFolder }: Config): boolean {
  return databaseUrl !== undefined || existsSync(join(dataFolder, 'latchkey.db'))
}

function notMade({ dataFolder }: Config): Finding {
  const words = `There is no Latchkey in ${resolve(dataFolder)} yet.`
  const how = 'Run "latchkey start", or set LATCHKEY_DATA to the folder of the one that you mean.'
  const mend = { by: 'administrator', how } as const
  return stopping(wrong({ about: 'storage', code: 'not_made', words, mend }))
}

async function isMigrated(store: Store, tell: Tell): Promise<boolean> {
  const report = await attempt(tell, places.database, () => migrate(store, { dryRun: true }))
  if (report === undefined) return false
  const about = 'storage'
  const { pending } = report
  if (pending.length === 0) {
    const words = 'The database answers, and has the shape that this version needs.'
    tell(right({ about, code: 'migrated', words }))
    return true
  }
  const words = `The database lacks ${pending.length} migrations that this version needs: ${pending.join(', ')}.`
  const how = 'Run "latchkey migrate" after a backup; "latchkey start" does it too.'
  const mend = { by: 'administrator', how } as const
  tell(stopping(wrong({ about, code: 'not_migrated', words, mend })))
  return false
}

async function examineInside(
  { config, store }: { readonly config: Config; readonly store: Store },
  tell: Tell,
): Promise<void> {
  const workshop = await attempt(tell, places.keys, () => openWorkshop(config, { store }))
  if (workshop === undefined) return
  try {
    await examineKeys(workshop, tell)
    await examinePeople(workshop, tell)
    await examineAddress(config, workshop, tell)
  } finally {
    await workshop.close()
  }
}

async function examineKeys({ masterKeys }: Workshop, tell: Tell): Promise<void> {
  const about = 'storage'
  const keys = await masterKeys()
  const absent = keys.filter(({ state }) => state === 'absent').map(({ id }) => id)
  if (absent.length === 0) {
    return tell(
      right({ about, code: 'keys', words: 'The master key is the one of this database.' }),
    )
  }
  const words = `What these master keys sealed cannot be opened, because they are not given: ${absent.join(', ')}.`
  const how = 'Give them again after the new one, in LATCHKEY_KEY or the key file.'
  tell(wrong({ about, code: 'keys_absent', words, mend: { by: 'administrator', how } }))
}

async function examinePeople({ people, tenant }: Workshop, tell: Tell): Promise<void> {
  if ((await people.keeper(tenant)) !== undefined) return
  const words = 'Nobody has an operator’s account yet.'
  const how = 'Open the link that "latchkey start" prints, or run "latchkey users create".'
  const mend = { by: 'administrator', how } as const
  tell(note({ about: 'storage', code: 'no_operator', words, mend }))
}

const askLimitMs = 30_000

async function examineAddress(config: Config, workshop: Workshop, tell: Tell): Promise<void> {
  const { issuer } = workshop.tenant
  if (issuer !== config.publicUrl) {
    const words = `LATCHKEY_PUBLIC_URL is ${config.publicUrl}, but this database belongs to ${issuer} until the next start moves it.`
    const how =
      'Set it back, or start: then clients and connections made under the old address must sign in again.'
    const mend = { by: 'administrator', how } as const
    tell(note({ about: 'address', code: 'address_moves', words, mend }))
  }
  const facts = { url: issuer, tenant: workshop.tenant, testHeader: workshop.testHeader() }
  const ask = createAskServer(facts, AbortSignal.timeout(askLimitMs))
  const isOurs = await attempt(tell, places.address, async () => {
    await checkServer(workshop, { ask, url: issuer })
    return true
  })
  if (isOurs === undefined) return
  const words = `${issuer} is the Latchkey of this database, and its metadata names it byte for byte.`
  tell(right({ about: 'address', code: 'answers', words, clause: 'RFC 8414 §3.3' }))
  await examineProtection(ask, issuer, tell)
}

/** Is a client without a token shown the way, as seen from outside? */
async function examineProtection(ask: AskServer, issuer: string, tell: Tell): Promise<void> {
  const resource = `${issuer}/mcp`
  const place = `${issuer}/.well-known/oauth-protected-resource/mcp`
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }
  const refused = await ask({ path: '/mcp', json: ping })
  const named = bearerChallenge(refused.header('www-authenticate') || null)?.resourceMetadata
  tell(
    protection(refused.status === 401 && named === place, {
      code: 'challenge',
      yes: 'A client without a token is shown where our metadata is.',
      no: `A client without a token is answered ${refused.status}, without the way to ${place}.`,
      clause: 'RFC 9728 §5.1',
    }),
  )
  const { json } = await ask({ path: new URL(place).pathname })
  const issuers = json['authorization_servers']
  const isRight = json['resource'] === resource && Array.isArray(issuers) && issuers[0] === issuer
  tell(
    protection(isRight, {
      code: 'resource',
      yes: `It names ${resource}, and ${issuer} as its authorization server.`,
      no: `${place} does not name ${resource} with ${issuer} as its authorization server.`,
      clause: 'RFC 9728 §3.3',
    }),
  )
}

function protection(
  isRight: boolean,
  told: {
    readonly code: string
    readonly yes: string
    readonly no: string
    readonly clause: string
  },
): Finding {
  const { code, clause } = told
  if (isRight) return right({ about: 'address', code, words: told.yes, clause })
  const how = 'Let the proxy in front pass all paths and headers on, and keep the Host field.'
  const mend = { by: 'administrator', how } as const
  return wrong({ about: 'address', code, words: told.no, clause, mend })
}
