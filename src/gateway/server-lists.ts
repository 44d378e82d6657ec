// What one server offers one person: its tools, prompts, resources and templates, each page of them, checked one by one. A
// list is remembered for the person and the credential that brought it, for a moment and for look-ups only.
import { isSpecType } from '@modelcontextprotocol/server'
import { createBoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Credential, Credentials } from '../connectors/credential.ts'
import type { Server } from '../connectors/servers.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { AskServer, Reply } from './upstream-call.ts'
import type { Message } from '../connectors/post-message.ts'

/** What can be listed. */
export type Kind = 'tools' | 'prompts' | 'resources' | 'resourceTemplates'

export const listMethods: Readonly<Record<Kind, string>> = {
  tools: 'tools/list',
  prompts: 'prompts/list',
  resources: 'resources/list',
  resourceTemplates: 'resources/templates/list',
}

export interface Asker {
  readonly server: Server
  readonly principal: TokenPrincipal
  readonly signal: AbortSignal
}

export type Listed =
  | { readonly kind: 'items'; readonly items: readonly Message[] }
  /** The answer that stands in its place. */
  | { readonly kind: 'missing'; readonly reply: MissingReply }

export type MissingReply = Exclude<Reply, { readonly kind: 'result' }>

export interface ServerLists {
  /** Asked now. Throws the Faults of the credentials. */
  readonly list: (kind: Kind, asker: Asker) => Promise<Listed>
  /** The same, or what this person's credential brought a moment ago. */
  readonly recall: (kind: Kind, asker: Asker) => Promise<Listed>
}

interface Needs {
  readonly askServer: AskServer
  readonly credentials: Pick<Credentials, 'credentialFor'>
  readonly clock: Clock
  readonly log: Log
}

const pagesMax = 20
const itemsMax = 1_000
const rememberedMs = 30_000
const rememberedMax = 1_000
const methodNotFound = -32_601

/** Makes the lists of one process. */
export function createServerLists(needs: Needs): ServerLists {
  const { clock, credentials } = needs
  const memory = createBoundedMap<{ readonly listed: Listed; readonly until: number }>(
    rememberedMax,
  )
  const list = async (kind: Kind, asker: Asker): Promise<Listed> => {
    const credential = await credentials.credentialFor(asker.server, asker.principal)
    const listed = await collect(needs, kind, asker)
    if (listed.kind === 'items') {
      const until = clock.now() + rememberedMs
      memory.set(keyOf(kind, asker, credential), { listed, until })
    }
    return listed
  }
  return {
    list,
    recall: async (kind, asker) => {
      const credential = await credentials.credentialFor(asker.server, asker.principal)
      const found = memory.get(keyOf(kind, asker, credential))
      return found !== undefined && found.until > clock.now() ? found.listed : list(kind, asker)
    },
  }
}

/** Whose list it is, as which account, with which of its tokens: nobody else ever gets it. */
function keyOf(kind: Kind, { server, principal }: Asker, credential: Credential): string {
  const { tenant, user, clientId } = principal
  const account =
    credential.kind === 'bearer' ? [credential.connectionId, credential.generation] : []
  const person = user === undefined ? ['client', clientId] : ['user', user.id]
  return JSON.stringify([kind, tenant.id, ...person, server.id, server.url, ...account])
}

async function collect(needs: Needs, kind: Kind, asker: Asker): Promise<Listed> {
  const items: Message[] = []
  let cursor: unknown
  for (let pages = 0; pages < pagesMax && items.length < itemsMax; pages += 1) {
    const params = cursor === undefined ? {} : { cursor }
    const reply = await needs.askServer({ ...asker, method: listMethods[kind], params })
    if (reply.kind === 'error' && reply.error.code === methodNotFound) break // it has none of these
    if (reply.kind !== 'result') return { kind: 'missing', reply }
    items.push(...itemsIn(needs, kind, asker.server, reply.result))
    cursor = reply.result['nextCursor']
    if (typeof cursor !== 'string' || cursor === '') break
  }
  return { kind: 'items', items: items.slice(0, itemsMax) }
}

const isGood: Readonly<Record<Kind, (item: unknown) => boolean>> = {
  tools: isSpecType.Tool,
  prompts: isSpecType.Prompt,
  resources: isSpecType.Resource,
  resourceTemplates: isSpecType.ResourceTemplate,
}

/** One item that is none would cost the client the whole list. */
function itemsIn(
  { log }: Needs,
  kind: Kind,
  { slug }: Server,
  result: Message,
): readonly Message[] {
  const listed = result[kind]
  if (!Array.isArray(listed)) return []
  const good = listed.filter((item: unknown): item is Message => isGood[kind](item))
  const dropped = listed.length - good.length
  if (dropped > 0)
    log.info({ server: slug, kind, dropped }, 'what is not as MCP has it is left out')
  return good
}
