// The sign-in providers of a `latchkey.yaml`: compared with those that are there. Those that servers take tokens of come before
// the servers, and go after them.
import { operatorAtTheMachine } from '../people/principal.ts'
import type { Provider } from '../people/providers.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Workshop } from '../workshop.ts'
import type { WantedProvider } from './apply-file.ts'

/** What of a provider is done. */
export interface ProviderStep {
  /** It waits for the servers: until then they may take its tokens. */
  readonly isAfterServers: boolean
  readonly action: 'create' | 'change' | 'keep' | 'remove'
  readonly name: string
  readonly changed?: readonly string[]
  readonly run: (tenant: Tenant) => Promise<undefined>
}

interface Planning {
  readonly workshop: Pick<Workshop, 'providers'>
  /** Write secrets again, which cannot be compared. */
  readonly secrets: boolean
}

/** The step that makes one so. Throws an Error in plain words for what cannot be changed. */
export function providerStep(
  { workshop, secrets }: Planning,
  { slug, facts, clientSecret }: WantedProvider,
  known: Provider | undefined,
): ProviderStep {
  const { providers } = workshop
  const secret = clientSecret === undefined ? {} : { clientSecret: clientSecret.reveal() }
  if (known === undefined) {
    const run = async (tenant: Tenant) => {
      await providers.create(operatorAtTheMachine(tenant), { ...facts, slug, ...secret })
      return undefined
    }
    return { action: 'create', name: slug, isAfterServers: false, run }
  }
  const { kind, ...rest } = facts
  if (kind !== known.kind) throw new Error(`The provider ${slug} cannot become ${kind}.`)
  const change = differing(rest, known)
  const isSecretDue = clientSecret !== undefined && (secrets || !known.hasClientSecret)
  const changed = [...Object.keys(change), ...(isSecretDue ? ['clientSecret'] : [])]
  const isAfterServers = change.keepsTokens === false
  const step = { name: slug, isAfterServers }
  if (changed.length === 0) return { ...step, action: 'keep', run: async () => undefined }
  const run = async (tenant: Tenant) => {
    await providers.update(operatorAtTheMachine(tenant), known.id, { ...change, ...secret })
    return undefined
  }
  return { ...step, action: 'change', changed, run }
}

/** The step that takes one away; refused while a server takes its tokens. */
export function providerRemoval(
  { providers }: Pick<Workshop, 'providers'>,
  { id, slug }: Provider,
): ProviderStep {
  const run = async (tenant: Tenant) => {
    await providers.remove(operatorAtTheMachine(tenant), id)
    return undefined
  }
  return { action: 'remove', name: slug, isAfterServers: true, run }
}

type Facts = Omit<WantedProvider['facts'], 'kind'>

function differing(wanted: Facts, there: Provider): Partial<Facts> {
  const known: Readonly<Record<string, unknown>> = { ...there }
  const isOther = ([name, value]: readonly [string, unknown]) =>
    // What is said of the claims is laid over the usual ones.
    name === 'claims'
      ? !isSame({ ...there.claims, ...wanted.claims }, there.claims)
      : !isSame(value, known[name])
  return Object.fromEntries(Object.entries(wanted).filter(isOther))
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
