// What `latchkey apply` would do: compares the tenants of the file with those that are there, and gives steps in the order in
// which they can be done. Nothing is written here before a step is run.
import type { Environment } from '../config.ts'
import { operatorAtTheMachine } from '../people/principal.ts'
import type { ListedTenant } from '../people/tenant-administration.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Workshop } from '../workshop.ts'
import { readProvider, readServer } from './apply-file.ts'
import type { WantedServer, WantedTenant } from './apply-file.ts'
import { providerRemoval, providerStep } from './apply-providers.ts'
import type { ProviderStep } from './apply-providers.ts'
import { findProvider, listProviders } from './find-provider.ts'
import { listAll } from './tenants.ts'
import type { Bench } from './workshop.ts'

/** One thing of the file, or one that the file does not have. */
export interface Step {
  readonly action: 'create' | 'change' | 'keep' | 'remove'
  readonly kind: 'tenant' | 'admin' | 'provider' | 'server'
  readonly tenant: string
  /** The slug of a server or provider, the e-mail address of a person; of a tenant its own. */
  readonly name: string
  /** Which fields change. */
  readonly changed?: readonly string[]
  readonly run: () => Promise<Made | undefined>
}

/** What is shown once. */
export interface Made {
  readonly tenant: string
  readonly setupUrl?: string
  readonly email?: string
  readonly password?: string
}

export interface PlanOptions {
  /** Remove what the file does not have. */
  readonly prune?: boolean
  /** Write secrets again, which cannot be compared. */
  readonly secrets?: boolean
}

/** What applying works with. */
export interface ApplyBench extends Bench {
  readonly environment: Environment
}

interface Planning {
  readonly bench: ApplyBench
  readonly options: PlanOptions
  readonly wanted: WantedTenant
  readonly known: ListedTenant | undefined
}

/** Makes the plan. Throws an Error in plain words for what cannot be done, as far as that can be known before. */
export async function makePlan(
  bench: ApplyBench,
  all: readonly WantedTenant[],
  options: PlanOptions,
): Promise<readonly Step[]> {
  const known = await listAll(bench)
  const steps: Step[] = []
  for (const wanted of all) {
    const found = known.find(({ slug }) => slug === wanted.slug)
    const planning = { bench, options, wanted, known: found }
    steps.push(tenantStep(planning))
    const providers = await providerSteps(planning)
    steps.push(...(await adminSteps(planning)), ...providers.before)
    steps.push(...(await serverSteps(planning)), ...providers.after)
  }
  if (options.prune !== true) return steps
  const slugs = new Set(all.map(({ slug }) => slug))
  const surplus = known.filter(
    ({ slug, id }) => !slugs.has(slug) && id !== bench.workshop.tenant.id,
  )
  return [...steps, ...surplus.map((tenant) => removal(bench, tenant))]
}

function operator({ workshop }: Bench) {
  return operatorAtTheMachine(workshop.tenant)
}

function removal(bench: Bench, { id, slug }: ListedTenant): Step {
  const run = async () => {
    await bench.workshop.tenantAdministration.remove(operator(bench), id)
    return undefined
  }
  return { action: 'remove', kind: 'tenant', tenant: slug, name: slug, run }
}

function tenantStep({ bench, wanted, known }: Planning): Step {
  const { slug, url, name, limitScale, callContentDays, branding = {}, admins = [] } = wanted
  const { tenantAdministration: tenants } = bench.workshop
  const given = {
    ...(url === undefined ? {} : { issuer: url }),
    ...(name === undefined ? {} : { name }),
    ...(limitScale === undefined ? {} : { limitScale }),
    ...(callContentDays === undefined
      ? {}
      : { callContentDays: callContentDays === 'off' ? null : callContentDays }),
    ...branding,
  }
  const step = { kind: 'tenant', tenant: slug, name: slug } as const
  if (known === undefined) {
    if (url === undefined) throw new Error(`The tenant ${slug} needs a url.`)
    const run = async () => {
      const made = await tenants.create(operator(bench), { ...given, slug, issuer: url })
      if (admins.length > 0) return undefined
      const link = await tenants.setupLink(operator(bench), made.id)
      return { tenant: slug, setupUrl: link.url.reveal() }
    }
    return { ...step, action: 'create', run }
  }
  const change = differing(given, { callContentDays: null, ...known, ...known.branding })
  const run = async () => {
    await tenants.update(operator(bench), known.id, change)
    return undefined
  }
  return { ...step, ...changeOrKeep(Object.keys(change)), run }
}

function differing(
  wanted: Readonly<Record<string, unknown>>,
  there: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(wanted).filter(([name, value]) => value !== there[name]))
}

function changeOrKeep(changed: readonly string[]) {
  if (changed.length === 0) return { action: 'keep' } as const
  return { action: 'change', changed } as const
}

/** People are made or raised, never lowered or removed: that is the tenant's own business. */
async function adminSteps({ bench, wanted, known }: Planning): Promise<readonly Step[]> {
  const { users } = bench.workshop
  const steps: Step[] = []
  for (const email of wanted.admins ?? []) {
    const person = known && (await users.byEmail(known, email))
    const step = { kind: 'admin', tenant: wanted.slug, name: email } as const
    const run = () => raise(bench.workshop, wanted.slug, email)
    if (person === undefined) steps.push({ ...step, action: 'create', run })
    else steps.push({ ...step, ...changeOrKeep(person.role === 'user' ? ['role'] : []), run })
  }
  return steps
}

async function raise(workshop: Workshop, slug: string, email: string): Promise<Made | undefined> {
  const { people, users } = workshop
  const tenant = await requireTenant(workshop, slug)
  const person = await users.byEmail(tenant, email)
  if (person !== undefined) {
    await people.update(operatorAtTheMachine(tenant), person.id, { role: 'admin' })
    return undefined
  }
  const { password } = await people.create(operatorAtTheMachine(tenant), { email, role: 'admin' })
  return { tenant: slug, email, password: password.reveal() }
}

async function requireTenant({ tenants }: Workshop, slug: string): Promise<Tenant> {
  const tenant = await tenants.bySlug(slug)
  if (tenant === undefined) throw new Error(`The tenant ${slug} is not there any more.`)
  return tenant
}

async function providerSteps({ bench, wanted, known, options }: Planning) {
  // As with servers: a file that says nothing of them leaves them to others.
  if (wanted.providers === undefined) return { before: [], after: [] }
  const { workshop, environment } = bench
  const all = wanted.providers.map((provider) => readProvider(provider, environment))
  const there = known === undefined ? [] : await listProviders(workshop, known)
  const toStep = ({ run, isAfterServers: _order, ...step }: ProviderStep): Step => ({
    ...step,
    kind: 'provider',
    tenant: wanted.slug,
    run: async () => run(await requireTenant(workshop, wanted.slug)),
  })
  const planning = { workshop, secrets: options.secrets === true }
  const kept = all.map((provider) =>
    providerStep(
      planning,
      provider,
      there.find(({ slug }) => slug === provider.slug),
    ),
  )
  const slugs = new Set(all.map(({ slug }) => slug))
  const surplus = options.prune === true ? there.filter(({ slug }) => !slugs.has(slug)) : []
  const steps = [...kept, ...surplus.map((one) => providerRemoval(workshop, one))]
  return {
    before: steps.filter(({ isAfterServers }) => !isAfterServers).map(toStep),
    after: steps.filter(({ isAfterServers }) => isAfterServers).map(toStep),
  }
}

type KnownServer = Awaited<ReturnType<Workshop['servers']['get']>> & {
  /** The slug of the provider whose tokens it takes. */
  readonly provider?: string
}

async function serverSteps(planning: Planning): Promise<readonly Step[]> {
  const { bench, wanted, known, options } = planning
  // A file that says nothing of servers leaves them to others.
  if (wanted.servers === undefined) return []
  const all = wanted.servers.map((server) => readServer(server, bench.environment))
  const there = known === undefined ? [] : await listServers(bench.workshop, known)
  const steps = all.map((server) =>
    serverStep(
      planning,
      server,
      there.find(({ slug }) => slug === server.slug),
    ),
  )
  if (options.prune !== true) return steps
  const slugs = new Set(all.map(({ slug }) => slug))
  const surplus = there.filter(({ slug }) => !slugs.has(slug))
  return [...steps, ...surplus.map((server) => serverRemoval(planning, server))]
}

async function listServers(workshop: Workshop, tenant: Tenant): Promise<readonly KnownServer[]> {
  const { servers } = workshop
  const items: KnownServer[] = []
  let cursor: string | undefined
  do {
    const after = cursor === undefined ? {} : { cursor }
    const page = await servers.list(operatorAtTheMachine(tenant), { limit: 200, ...after })
    items.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== undefined)
  const slugs = new Map((await listProviders(workshop, tenant)).map(({ id, slug }) => [id, slug]))
  return items.map((item) => withProvider(item, slugs.get(item.providerId ?? '')))
}

function withProvider(server: KnownServer, provider: string | undefined): KnownServer {
  return provider === undefined ? server : { ...server, provider }
}

function serverRemoval({ bench, wanted }: Planning, { id, slug }: KnownServer): Step {
  const run = async () => {
    const tenant = await requireTenant(bench.workshop, wanted.slug)
    await bench.workshop.servers.remove(operatorAtTheMachine(tenant), id)
    return undefined
  }
  return { action: 'remove', kind: 'server', tenant: wanted.slug, name: slug, run }
}

function serverStep(
  { bench, wanted, options }: Planning,
  server: WantedServer,
  known: KnownServer | undefined,
): Step {
  const { servers } = bench.workshop
  const step = { kind: 'server', tenant: wanted.slug, name: server.slug } as const
  const as = async () => operatorAtTheMachine(await requireTenant(bench.workshop, wanted.slug))
  if (known === undefined) {
    const run = async () => {
      const by = await as()
      const { slug, facts } = server
      const provided = await withProviderId(bench.workshop, by.tenant, facts)
      await servers.create(by, { slug, ...provided, url: facts.url, ...secretsOf(server) })
      return undefined
    }
    return { ...step, action: 'create', run }
  }
  const change = differing(server.facts, { ...known })
  const secrets = secretNames(server, known, options.secrets === true)
  const changed = [...Object.keys(change), ...secrets]
  const run = async () => {
    // Whatever makes it another server to sign in at drops its secrets, so they go with every change.
    const by = await as()
    const provided = await withProviderId(bench.workshop, by.tenant, change)
    await servers.update(by, known.id, { ...provided, ...secretsOf(server) })
    return undefined
  }
  return { ...step, ...changeOrKeep(changed), run }
}

/** With the id of the provider that the file calls by its slug; it may have been made a moment ago. */
async function withProviderId(
  workshop: Workshop,
  tenant: Tenant,
  { provider, ...facts }: Partial<WantedServer['facts']>,
) {
  if (provider === undefined) return facts
  const { id } = await findProvider(workshop, tenant, provider)
  return { ...facts, providerId: id }
}

/** Which secrets are to be written: those that are not there, or all when that is asked for. */
function secretNames(
  { headers, clientSecret }: WantedServer,
  { headerNames, hasClientSecret }: KnownServer,
  isAsked: boolean,
): readonly string[] {
  const namesOf = (names: readonly string[]) =>
    names
      .map((name) => name.toLowerCase())
      .toSorted()
      .join()
  const wanted = Object.keys(headers)
  const isOther = wanted.length > 0 && (isAsked || namesOf(wanted) !== namesOf(headerNames))
  const isMissing = clientSecret !== undefined && (isAsked || !hasClientSecret)
  return [...(isOther ? ['headers'] : []), ...(isMissing ? ['clientSecret'] : [])]
}

function secretsOf({ headers, clientSecret }: WantedServer) {
  const revealed = Object.entries(headers).map(([name, value]) => [name, value.reveal()] as const)
  return {
    ...(revealed.length === 0 ? {} : { headers: Object.fromEntries(revealed) }),
    ...(clientSecret === undefined ? {} : { clientSecret: clientSecret.reveal() }),
  }
}
