// `latchkey apply`: the tenants of a file are made so, and a second time nothing is done.
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { apply } from '../../src/cli/apply.ts'
import { readConfig } from '../../src/config.ts'
import { operatorAtTheMachine } from '../../src/people/principal.ts'
import type { Store } from '../../src/store/database.ts'
import { openWorkshop } from '../../src/workshop.ts'
import { makeDatabaseFolder } from '../database-folder.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'

const secret = 'hunter2-hunter2-hunter2'

const acme = `
tenants:
  - slug: acme-co
    url: https://acme.test
    name: Acme
    branding: { accent: '#112233', supportContact: help@acme.test }
    limitScale: 2
    callContentDays: 30
    admins: [eve@acme.test]
    servers:
      - slug: notes
        url: http://127.0.0.1:9/mcp
        name: Notes
        auth: headers
        headers: { Authorization: 'Bearer \${NOTES_KEY}' }
  - slug: other-co
    url: https://other.test
`

interface Step {
  readonly action: string
  readonly kind: string
  readonly name: string
  readonly changed?: readonly string[]
}

const told = ({ plan }: { readonly plan: readonly Step[] }) =>
  plan.map(({ action, kind, name, changed = [] }) => [action, kind, name, ...changed].join(' '))

/** The command over a store, and what it prints. */
async function openBench(t: TestContext, store: Store) {
  const folder = makeDatabaseFolder('apply')
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const settings = { LATCHKEY_DATA: folder, LATCHKEY_ALLOW_PRIVATE_NETWORKS: 'loopback' }
  const workshop = await openWorkshop(readConfig(settings), { store })
  t.after(workshop.close)
  const file = join(folder, 'tenants.yaml')
  const run = async (text: string, options: Parameters<typeof apply>[1] = {}) => {
    writeFileSync(file, text)
    const printed: string[] = []
    const terminal = {
      isInteractive: false,
      print: (line: string) => void printed.push(line),
      note: (line: string) => void printed.push(line),
      ask: async () => undefined,
    }
    const environment = { NOTES_KEY: secret, LATCHKEY_CONFIG: join(folder, 'latchkey.yaml') }
    await apply({ workshop, terminal, environment }, { file, ...options })
    const out = printed.join('\n')
    assert.ok(!out.includes(secret), 'a secret is never printed')
    return out
  }
  const json = async (text: string, options: Parameters<typeof apply>[1] = {}) =>
    JSON.parse(await run(text, { yes: true, json: true, ...options }))
  const by = operatorAtTheMachine(workshop.tenant)
  const slugs = async () =>
    (await workshop.tenantAdministration.list(by)).items.map(({ slug }) => slug)
  return { workshop, folder, run, json, slugs }
}

onEveryDatabase(
  'a file of tenants is made so once, and says first what it would do',
  async (t, store) => {
    const { workshop, run, json, slugs } = await openBench(t, store)
    const dry = await run(acme, { dryRun: true })
    assert.match(dry, /^create +tenant +acme-co$/m)
    assert.match(dry, /^create +server +acme-co \/ notes$/m)
    await assert.rejects(run(acme), /Say --yes to do this/)
    assert.deepEqual(await slugs(), ['default'], 'nothing was done')

    const first = await run(acme, { yes: true })
    assert.match(first, /eve@acme.test administers acme-co. Password, shown only this once/)
    assert.match(first, /^ {2}https:\/\/other\.test\/setup\?link=\S{43}$/m)
    const second = await json(acme)
    assert.deepEqual([second.applied, second.made], [false, []])
    assert.ok(
      second.plan.every(({ action }: Step) => action === 'keep'),
      JSON.stringify(second),
    )
    const tenant = (await workshop.tenants.bySlug('acme-co')) ?? assert.fail()
    const { items } = await workshop.servers.list(operatorAtTheMachine(tenant))
    assert.deepEqual(
      items.map(({ slug, headerNames }) => [slug, headerNames]),
      [['notes', ['Authorization']]],
    )
    const again = await json(acme, { secrets: true })
    assert.ok(told(again).includes('change server notes headers'), told(again).join())

    assert.equal(tenant.callContentDays, 30)
    const off = acme.replace('callContentDays: 30', 'callContentDays: off')
    assert.ok(told(await json(off)).includes('change tenant acme-co callContentDays'))
    assert.equal((await workshop.tenants.bySlug('acme-co'))?.callContentDays, undefined)
    assert.equal((await json(off)).applied, false, 'what is off already stays so')

    const fewer = `
tenants:
  - slug: acme-co
    url: https://acme.test
    name: Acme Ltd
    admins: [eve@acme.test]
    servers: []
`
    assert.deepEqual(told(await json(fewer)), [
      'change tenant acme-co name',
      'keep admin eve@acme.test',
    ])
    assert.deepEqual(told(await json(fewer, { prune: true })), [
      'keep tenant acme-co',
      'keep admin eve@acme.test',
      'remove server notes',
      'remove tenant other-co',
    ])
    assert.deepEqual(await slugs(), ['default', 'acme-co'])
    const user = (await workshop.users.byEmail(tenant, 'eve@acme.test')) ?? assert.fail()
    assert.equal(user.role, 'admin')
  },
)

const provided = (rest: string) => `
tenants:
  - slug: acme-co
    url: https://acme.test
    ${rest}
`
const company = (more: string) => `providers:
      - slug: company
        kind: oauth2
        name: Company
        issuer: http://127.0.0.1:9
        authorizationEndpoint: http://127.0.0.1:9/authorize
        tokenEndpoint: http://127.0.0.1:9/token
        userinfoEndpoint: http://127.0.0.1:9/userinfo
        clientId: latchkey
        clientSecret: '\${NOTES_KEY}'
        claims: { subject: id }
        emailDomains: [acme.test]
        keepsTokens: true${more}`
const taker = `servers:
      - { slug: notes, url: 'http://127.0.0.1:9/mcp', auth: provider, provider: company }`

onEveryDatabase(
  'providers are made before the servers that take their tokens, and go after them',
  async (t, store) => {
    verifies(t, 'S4-13', 'S4-40', 'S4-43')
    const { workshop, run, json } = await openBench(t, store)
    const both = provided(`${company('')}\n    ${taker}`)
    assert.deepEqual(told(await json(both)).slice(1), [
      'create provider company',
      'create server notes',
    ])
    assert.deepEqual(told(await json(both)).slice(1), [
      'keep provider company',
      'keep server notes',
    ])
    const tenant = (await workshop.tenants.bySlug('acme-co')) ?? assert.fail()
    const by = operatorAtTheMachine(tenant)
    const [made] = (await workshop.providers.list(by)).items
    const [server] = (await workshop.servers.list(by)).items
    assert.deepEqual([server?.auth, server?.providerId], ['provider', made?.id])

    const renamed = both.replace('name: Company', 'name: Firm')
    assert.deepEqual(told(await json(renamed, { secrets: true })).slice(1), [
      'change provider company name clientSecret',
      'keep server notes',
    ])
    // A provider that is to keep no more tokens waits until no server takes them, and one that is to keep them comes first.
    const apart = provided(
      `${company('').replace('keepsTokens: true', 'keepsTokens: false')}
    servers:
      - { slug: notes, url: 'http://127.0.0.1:9/mcp', auth: none }`,
    )
    assert.deepEqual(told(await json(apart)).slice(1), [
      'change server notes auth',
      'change provider company name keepsTokens',
    ])
    assert.deepEqual(told(await json(both)).slice(1), [
      'change provider company keepsTokens',
      'change server notes auth provider',
    ])
    await assert.rejects(
      run(provided(`providers: []\n    ${taker}`), { yes: true, prune: true }),
      ({ code }: { code: string }) => code === 'conflict',
    )
    await assert.rejects(
      run(both.replace('kind: oauth2', 'kind: oidc'), { yes: true }),
      /The provider company cannot become oidc/,
    )
    await assert.rejects(
      run(provided(taker.replace('provider: company', 'provider: none')), { yes: true }),
      /There is no provider none in acme-co/,
    )
    const gone = provided('providers: []\n    servers: []')
    assert.deepEqual(told(await json(gone, { prune: true })).slice(1), [
      'remove server notes',
      'remove provider company',
    ])
  },
)

const one = (rest: string) => `tenants: [{ slug: acme-co, url: 'https://acme.test'${rest} }]`
const server = (rest: string) =>
  one(`, servers: [{ slug: notes, url: 'http://127.0.0.1:9/mcp', ${rest} }]`)

onEveryDatabase(
  'tenants stand beside the settings, and what cannot be used is said in words',
  async (t, store) => {
    const { folder, run, json, slugs } = await openBench(t, store)
    const both = 'LATCHKEY_CODE_LIFETIME_S: 30\ntenants: [{ slug: default, name: Hub }]\n'
    const own = join(folder, 'latchkey.yaml')
    writeFileSync(own, both)
    assert.equal(readConfig({ LATCHKEY_CONFIG: own }).codeLifetimeMs, 30_000)
    assert.deepEqual(told(await json(both, { file: own })), ['change tenant default name'])
    assert.deepEqual(told(await json(both, { file: own })), ['keep tenant default'])

    for (const [text, says] of [
      ['', /tenants: /],
      ['tenants: 1', /tenants: /],
      ['tenants: [', /is not YAML/],
      ['LATCHKEY_LOG: info\ntenants: []', /LATCHKEY_LOG is nothing that "latchkey apply" knows/],
      ['tenents: []\ntenants: []', /tenents is nothing that/],
      [one(', nmae: x'), /tenants\.0: .*nmae/],
      ['tenants: [{ slug: acme-co }]', /The tenant acme-co needs a url/],
      ['tenants: [{ slug: a }, { slug: a }]', /a is twice among the tenants/],
      [
        server(`headers: { X: '${secret}' }`),
        /Write the header X of the server notes as \$\{NAME\}/,
      ],
      [server(`clientSecret: '${secret}'`), /Write clientSecret of the server notes/],
      [server("headers: { X: '${NOT_SET}' }"), /NOT_SET is not set, and the header X/],
    ] as const) {
      await assert.rejects(run(text, { yes: true }), (thrown: Error) => {
        assert.match(thrown.message, says)
        return !thrown.message.includes(secret)
      })
    }
    for (const [text, field] of [
      [one(', name: ""'), 'name'],
      ["tenants: [{ slug: x, url: 'https://acme.test' }]", 'slug'],
      ["tenants: [{ slug: default, url: 'https://acme.test' }]", 'issuer'],
    ] as const) {
      await assert.rejects(
        run(text, { yes: true }),
        ({ detail }: { detail: object }) => field in detail,
      )
    }
    assert.deepEqual(await slugs(), ['default'])
    await assert.rejects(run('', { file: '/nowhere.yaml' }), /nowhere.yaml/)
  },
)
