// `latchkey tenants …`: makes, lists, switches and removes the tenants of this installation. Works on the database itself, so
// a running server sees it at once. A set-up link or a password is printed once, when it is made.
import type { Command } from 'commander'
import { operatorAtTheMachine } from '../people/principal.ts'
import type { ListedTenant } from '../people/tenant-administration.ts'
import { pathOfSlug } from '../people/tenants.ts'
import { day, table } from './terminal.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

interface JsonOption {
  readonly json?: boolean
}

/** Adds the commands. */
export function addTenants(program: Command): void {
  const tenants = program
    .command('tenants')
    .description('the hosts that this serves, each for itself')
  addAdd(tenants)
  tenants
    .command('list')
    .description('list them')
    .option('--json', 'as JSON')
    .action((options: JsonOption) => atTheBench((bench) => list(bench, options)))
  for (const [name, disabled, words] of [
    ['disable', true, 'switch one off: it answers like a host that is nobody’s, at once'],
    ['enable', false, 'switch one on again'],
  ] as const) {
    tenants
      .command(`${name} <tenant>`)
      .description(words)
      .option('--json', 'as JSON')
      .action((who: string, options: JsonOption) =>
        atTheBench((bench) => setDisabled(bench, who, { ...options, disabled })),
      )
  }
  tenants
    .command('call-content <tenant> <days>')
    .description('keep what is said in its calls for so many days, 1 to 90; "off" deletes it')
    .option('--json', 'as JSON')
    .action((who: string, days: string, options: JsonOption) =>
      atTheBench((bench) => setCallContent(bench, who, { ...options, days })),
    )
  tenants
    .command('link <tenant>')
    .description('make a new link for its first administrator; earlier ones end')
    .option('--json', 'as JSON')
    .action((who: string, options: JsonOption) => atTheBench((bench) => link(bench, who, options)))
  tenants
    .command('remove <tenant>')
    .description('remove one, named by slug or id, with everything that it has')
    .option('--yes', 'without a question')
    .option('--json', 'as JSON')
    .action((who: string, options: JsonOption & { yes?: boolean }) =>
      atTheBench((bench) => remove(bench, who, options)),
    )
}

interface AddOptions extends JsonOption {
  readonly url?: string
  readonly path?: boolean
  readonly name?: string
  readonly accent?: string
  readonly logoUrl?: string
  readonly support?: string
  readonly callContentDays?: string
  readonly admin?: string
}

function addAdd(tenants: Command): void {
  tenants
    .command('add <slug>')
    .description('make one, and a way in for its first administrator that is shown once')
    .option('--url <origin>', 'where it is, such as https://acme.example.com')
    .option('--path', 'without a host of its own: at /t/<slug> of LATCHKEY_PUBLIC_URL')
    .option('--name <name>', 'what people see')
    .option('--accent <colour>', 'the colour of its pages, such as #2f6fed')
    .option('--logo-url <url>', 'its picture, https')
    .option('--support <contact>', 'whom its people ask: an e-mail address or an https URL')
    .option('--call-content-days <days>', 'keep what is said in its calls for so many days')
    .option('--admin <email>', 'make this person its administrator, instead of a set-up link')
    .option('--json', 'as JSON')
    .action((slug: string, options: AddOptions) => atTheBench((bench) => add(bench, slug, options)))
}

async function add(
  bench: Bench,
  slug: string,
  { json, url, path, admin, support, callContentDays, ...looks }: AddOptions,
): Promise<void> {
  const { workshop, terminal } = bench
  const contact = support === undefined ? {} : { supportContact: support }
  const issuer = addressOf(bench, slug, url, path)
  const content = callContentDays === undefined ? {} : { callContentDays: Number(callContentDays) }
  const input = { slug, issuer, ...looks, ...contact, ...content }
  const tenant = await workshop.tenantAdministration.create(by(bench), input)
  const way = await makeWayIn(bench, tenant, admin)
  if (json === true) return terminal.print(JSON.stringify({ ...tenant, ...way.json }))
  terminal.print(`${tenant.name} is at ${tenant.issuer}.\n\n${way.words}`)
}

function addressOf(
  { workshop }: Bench,
  slug: string,
  url: string | undefined,
  path = false,
): string {
  const isSaidOnce = (url === undefined) === path
  if (!isSaidOnce) throw new Error('Say where it is: either --url with an address, or --path.')
  return url ?? workshop.tenant.issuer + pathOfSlug(slug)
}

/** How its first administrator gets in. */
async function makeWayIn(bench: Bench, tenant: ListedTenant, admin: string | undefined) {
  const { workshop } = bench
  if (admin === undefined) {
    const { url, expiresAt } = await workshop.tenantAdministration.setupLink(by(bench), tenant.id)
    return {
      json: { setupUrl: url.reveal(), expiresAt },
      words: linkWords(url.reveal(), expiresAt),
    }
  }
  const made = await workshop.people.create(operatorAtTheMachine(tenant), {
    email: admin,
    role: 'admin',
  })
  const password = made.password.reveal()
  return {
    json: { admin: { id: made.user.id, email: admin, password } },
    words: `${admin} is its administrator. Password, shown only this once:\n\n  ${password}`,
  }
}

function linkWords(url: string, expiresAt: number): string {
  return `Whoever opens this link first makes themselves its administrator; it holds until ${day(expiresAt)} UTC:\n\n  ${url}`
}

async function list(bench: Bench, { json }: JsonOption): Promise<void> {
  const { terminal } = bench
  const items = await listAll(bench)
  if (json === true) return terminal.print(JSON.stringify({ items }))
  const head = ['SLUG', 'AT', 'NAME', 'STATE', 'SINCE (UTC)']
  const rows = items.map(({ slug, issuer, name, disabled, createdAt }) => [
    slug,
    issuer,
    name,
    disabled ? 'off' : 'on',
    day(createdAt),
  ])
  terminal.print(table([head, ...rows]))
}

const pageSize = 200
const listedMax = 10_000

/** All tenants, at most 10 000. */
export async function listAll(bench: Bench): Promise<readonly ListedTenant[]> {
  const items: ListedTenant[] = []
  let cursor: string | undefined
  do {
    const after = cursor === undefined ? {} : { cursor }
    const page = await bench.workshop.tenantAdministration.list(by(bench), {
      limit: pageSize,
      ...after,
    })
    items.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== undefined && items.length < listedMax)
  return items
}

async function setDisabled(
  bench: Bench,
  who: string,
  { json, disabled }: JsonOption & { readonly disabled: boolean },
): Promise<void> {
  const { workshop, terminal } = bench
  const { id } = await findTenant(bench, who)
  const tenant = await workshop.tenantAdministration.update(by(bench), id, { disabled })
  if (json === true) return terminal.print(JSON.stringify(tenant))
  terminal.print(`${tenant.slug} is ${disabled ? 'off: nobody is answered there' : 'on again'}.`)
}

async function setCallContent(
  bench: Bench,
  who: string,
  { json, days }: JsonOption & { readonly days: string },
): Promise<void> {
  const { workshop, terminal } = bench
  const { id } = await findTenant(bench, who)
  const callContentDays = days === 'off' ? null : Number(days)
  const tenant = await workshop.tenantAdministration.update(by(bench), id, { callContentDays })
  if (json === true) return terminal.print(JSON.stringify(tenant))
  const words =
    callContentDays === null
      ? 'what is said in calls is not kept, and what was kept is deleted'
      : `what is said in calls is kept for ${callContentDays} days`
  terminal.print(`${tenant.slug}: ${words}.`)
}

async function link(bench: Bench, who: string, { json }: JsonOption): Promise<void> {
  const { workshop, terminal } = bench
  const { id } = await findTenant(bench, who)
  const made = await workshop.tenantAdministration.setupLink(by(bench), id)
  const [url, { expiresAt }] = [made.url.reveal(), made]
  terminal.print(json === true ? JSON.stringify({ url, expiresAt }) : linkWords(url, expiresAt))
}

async function remove(
  bench: Bench,
  who: string,
  { json, yes }: JsonOption & { readonly yes?: boolean },
): Promise<void> {
  const { workshop, terminal } = bench
  const { id, slug, issuer } = await findTenant(bench, who)
  if (yes !== true) await requireYes(bench, { slug, issuer })
  await workshop.tenantAdministration.remove(by(bench), id)
  if (json === true) return terminal.print(JSON.stringify({ removed: id }))
  terminal.print(`${slug} is removed, with everything that it had.`)
}

async function requireYes(
  { terminal }: Bench,
  { slug, issuer }: Pick<ListedTenant, 'slug' | 'issuer'>,
): Promise<void> {
  const what = `This removes ${slug} (${issuer}) with its people, clients, servers, tokens and journal, and cannot be undone.`
  if (!terminal.isInteractive) throw new Error(`${what} Say --yes if you mean it.`)
  terminal.print(what)
  const answer = await terminal.ask(`Type ${slug} to remove it`)
  if (answer !== slug) throw new Error('Nothing was removed.')
}

async function findTenant(bench: Bench, who: string): Promise<ListedTenant> {
  const found = (await listAll(bench)).find(({ slug, id }) => slug === who || id === who)
  if (found !== undefined) return found
  throw new Error(`There is no tenant ${who}. "latchkey tenants list" shows all.`)
}

function by({ workshop }: Bench) {
  return operatorAtTheMachine(workshop.tenant)
}
