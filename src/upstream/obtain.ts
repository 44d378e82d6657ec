// The first tokens of a connection that needs no browser, and those after its tokens were lost: one asks, the others wait
// for it, and after a refusal nobody asks for a while. From then on refresh.ts asks ahead of their end.
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { Discovery } from './discover.ts'
import type { OwnGrant } from './grant.ts'
import type { Holder, HolderEvents } from './holder.ts'
import { messageOf } from './messages.ts'
import { newBinding } from './new-binding.ts'
import type { OwnGrants } from './own-grants.ts'
import { createPauses } from './pauses.ts'
import type { Revocations } from './revocations.ts'
import type { Registration } from './register.ts'
import type { TokenSet } from './token-endpoint.ts'
import type { Binding } from './held.ts'
import type { Vault } from './vault.ts'

/** Whose tokens, and how they are asked for. */
export interface ObtainRequest {
  readonly holder: Holder
  readonly serverId: string
  /** Whose connection it is; absent for one of all. */
  readonly userId?: string | undefined
  /** Changes when the server does: what failed before is then asked anew. */
  readonly stamp: number
  /** Somebody asks for it now: what failed a moment ago is tried again. */
  readonly isWished?: boolean | undefined
  /** Finds out how; called by the one who asks. */
  readonly prepare: () => Promise<OwnPlan>
  /** Says, inside the transaction that keeps them, whether the tokens are still wanted. */
  readonly mayKeep: (tx: Database) => Promise<boolean>
}

export interface OwnPlan {
  readonly discovery: Discovery
  readonly registration: Registration
  readonly scopes: readonly string[]
  readonly grant: OwnGrant
}

/** Gets tokens and keeps them. Throws the Fault that kept them away. */
export type Obtain = (request: ObtainRequest) => Promise<void>

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly journal: Journal
  readonly vault: Vault
  readonly revocations: Pick<Revocations, 'giveBack'>
  readonly ownGrants: OwnGrants
  readonly events: HolderEvents
}

const pauseMs = 30_000

/** Makes it for one process. */
export function createObtain(needs: Needs): Obtain {
  const flights = new Map<string, Promise<void>>()
  const pauses = createPauses(needs.clock)

  const attempt = async (request: ObtainRequest, name: string): Promise<void> => {
    const paused = request.isWished === true ? undefined : pauses.find(name)
    if (paused !== undefined) throw paused
    try {
      await obtain(needs, request)
    } catch (thrown) {
      if (!isFault(thrown)) throw thrown
      const askedMs = (thrown.retryAfterS ?? 0) * 1000
      pauses.begin(name, thrown, needs.clock.now() + Math.max(pauseMs, askedMs))
      await tellFailure(needs, request, thrown)
      throw thrown
    }
  }

  return (request) => {
    const { holder, stamp } = request
    const name = JSON.stringify([holder.tenant.id, holder.connectionId, stamp])
    const running = flights.get(name)
    if (running) return running
    const flight = attempt(request, name).finally(() => flights.delete(name))
    flights.set(name, flight)
    return flight
  }
}

async function obtain(needs: Needs, request: ObtainRequest): Promise<void> {
  const plan = await request.prepare()
  const { registration, grant } = plan
  const binding = bindingOf(request, plan)
  const answer = await needs.ownGrants.ask({
    tenantId: request.holder.tenant.id,
    binding,
    grant,
    registration,
  })
  if (answer.kind === 'refused') throw answer.fault
  const scope = answer.tokens.scope ?? plan.scopes.join(' ')
  // RFC 6749 §5.1: a scope that is not named is the one that was asked for.
  const tokens: TokenSet = scope === '' ? answer.tokens : { ...answer.tokens, scope }
  try {
    if (await keep(needs, request, { binding, tokens })) return
    throw new Fault('flow_expired', { because: 'the connection was ended meanwhile' })
  } catch (thrown) {
    const { tenant, connectionId } = request.holder
    const key = { tenantId: tenant.id, connectionId }
    await needs.revocations.giveBack({ key, binding, registration }, tokens)
    throw thrown
  }
}

function bindingOf({ serverId, userId }: ObtainRequest, { grant, ...plan }: OwnPlan): Binding {
  return { ...newBinding({ serverId, userId, ...plan }), grant }
}

function keep(
  { db, vault, events, journal }: Needs,
  { holder, userId, mayKeep }: ObtainRequest,
  { binding, tokens }: { readonly binding: Binding; readonly tokens: TokenSet },
): Promise<boolean> {
  const key = { tenantId: holder.tenant.id, connectionId: holder.connectionId }
  return db.transaction().execute(async (tx) => {
    if (!(await mayKeep(tx))) return false
    await events.changed(tx, key, { kind: 'connected', by: binding })
    await vault.keep(tx, holder, binding, tokens)
    await journal.record(tx, {
      tenantId: key.tenantId,
      type: 'connection.connected',
      actor: { kind: 'system' },
      ...(userId === undefined ? {} : { userId }),
      subject: { kind: 'connection', id: key.connectionId },
      data: { issuer: binding.issuer },
    })
    return true
  })
}

function tellFailure(
  { db, events }: Needs,
  { holder }: ObtainRequest,
  { code }: Fault,
): Promise<void> {
  const key = { tenantId: holder.tenant.id, connectionId: holder.connectionId }
  const { words } = messageOf(code)
  const change = { kind: 'flow_failed', error: code, words } as const
  return db.transaction().execute((tx) => events.changed(tx, key, change))
}
