import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isClientDocumentUrl } from '../oauth/client-metadata.ts'
import { checkRedirectUri } from '../oauth/redirect-uri.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { isFault } from '../base/fault.ts'
import { findClient } from './clients.ts'
import type { Client } from './clients.ts'
import { standingByProof } from './consent.ts'
import {
  askConsent,
  authorizeQuery,
  createRig,
  obtainCode,
  redirectUri as elsewhere,
  register,
} from './issuer.rig.ts'
import type { Rig } from './issuer.rig.ts'
import type { ClientAuthMethod } from './metadata.ts'
import { knownClients, mayBe, pretendsToBe, verifiedAs } from './known-clients.ts'

const claudeCallback = 'https://claude.ai/api/mcp/auth_callback'
const claudeDocument = 'https://claude.ai/oauth/mcp-oauth-client-metadata'

// As each program has been seen to come: by a document, or by registering.
const seen: readonly (readonly [string, string | undefined, string])[] = [
  ['Claude', claudeDocument, claudeCallback],
  ['Claude', undefined, 'https://claude.com/api/mcp/auth_callback'],
  [
    'ChatGPT',
    'https://chatgpt.com/oauth/client.json',
    'https://chatgpt.com/connector_platform_oauth_redirect',
  ],
  [
    'ChatGPT',
    'https://chatgpt.com/oauth/kDmjx77UnKOM/client.json',
    'https://chatgpt.com/connector/oauth/kDmjx77UnKOM',
  ],
  ['Cursor', undefined, 'cursor://anysphere.cursor-mcp/oauth/callback'],
  ['Cursor', undefined, 'https://www.cursor.com/agents/mcp/oauth/callback'],
  ['VS Code', 'https://vscode.dev/oauth/client-metadata.json', 'https://vscode.dev/redirect'],
  ['VS Code', undefined, 'https://insiders.vscode.dev/redirect'],
  [
    'Codex',
    'https://chatgpt.com/oauth/codex/client.json',
    'http://127.0.0.1:33418/callback/AbC-1_2',
  ],
  ['Gemini CLI', undefined, 'http://localhost:7777/oauth/callback'],
  ['Goose', undefined, 'http://localhost:51234/oauth_callback'],
  ['MCP Inspector', undefined, 'http://localhost:6274/oauth/callback/debug'],
  [
    'Claude Code',
    'https://claude.ai/oauth/claude-code-client-metadata',
    'http://localhost:3118/callback',
  ],
  ['Copilot Studio', undefined, 'https://global.consent.azure-apim.net/redirect/cr123-my-5fserver'],
]

test('each known program is recognised by how it comes', () => {
  assert.deepEqual(
    new Set(seen.map(([name]) => name)),
    new Set(knownClients.map(({ name }) => name)),
    'each has an example',
  )
  for (const [name, clientId = 'mcp_oauth_x', redirectUri] of seen) {
    const names = mayBe({ clientId, redirectUri }).map((known) => known.name)
    assert.ok(names.includes(name), `${name}: ${names.join(', ')}`)
  }
})

test('what stands in the data file can be registered and fetched', () => {
  for (const { name, documents, callbacks, reconnect } of knownClients) {
    for (const url of documents) {
      assert.ok(typeof url !== 'string' || isClientDocumentUrl(url), `${name}: ${String(url)}`)
    }
    for (const uri of callbacks) {
      if (typeof uri !== 'string') continue
      assert.deepEqual(checkRedirectUri(uri, { applicationType: 'web' }), { ok: true }, uri)
    }
    assert.match(reconnect, /^(?:In|For) .+\.$/, name)
  }
  for (const pattern of knownClients.flatMap(({ callbacks, documents }) => [
    ...callbacks,
    ...documents,
  ])) {
    if (pattern instanceof RegExp) assert.match(pattern.source, /^\^.+\$$/, 'anchored at both ends')
  }
})

test('only a known document that is answered at its own address is verified: X-39', () => {
  const document = (id: string) => ({ kind: 'document', id }) as const
  assert.equal(verifiedAs(document(claudeDocument), claudeCallback)?.name, 'Claude')
  assert.equal(
    verifiedAs(
      document('https://chatgpt.com/oauth/a1/client.json'),
      'https://chatgpt.com/connector/oauth/a1',
    )?.name,
    'ChatGPT',
  )
  for (const [client, redirectUri] of [
    [document(claudeDocument), elsewhere],
    [document(claudeDocument), 'https://chatgpt.com/connector_platform_oauth_redirect'],
    [document(claudeDocument), `${claudeCallback}/`],
    [document(`${claudeDocument}?x`), claudeCallback],
    [document('https://claude.ai.evil.com/oauth/mcp-oauth-client-metadata'), claudeCallback],
    [
      document('https://evil.com/https://claude.ai/oauth/mcp-oauth-client-metadata'),
      claudeCallback,
    ],
    [document('http://claude.ai/oauth/mcp-oauth-client-metadata'), claudeCallback],
    [
      document('https://chatgpt.com/oauth/a/b/client.json'),
      'https://chatgpt.com/connector/oauth/a',
    ],
    [{ kind: 'registered', id: claudeDocument } as const, claudeCallback],
    [{ kind: 'manual', id: 'mcp_oauth_x' } as const, claudeCallback],
    // Any program on the machine can present this document and listen there (RFC 8252 §8.6).
    [
      document('https://claude.ai/oauth/claude-code-client-metadata'),
      'http://localhost:1/callback',
    ],
  ] as const) {
    assert.equal(verifiedAs(client, redirectUri), undefined, `${client.id} ${redirectUri}`)
  }
})

test('a known name that is answered elsewhere is a pretender, however it is spelt: X-12, X-39', () => {
  for (const name of [
    'Claude',
    'CLAUDE',
    'claude.ai',
    'Claude Code',
    'Claude (by Anthropic)',
    'Сlaude',
    'Ｃｌａｕｄｅ',
    'Cláude',
    'C1aude',
    'Сhаtgрт',
    'ChatGPT',
    'Chat-GPT',
    'Cursor',
    'VS  Code',
    'Visual Studio Code',
  ]) {
    assert.ok(pretendsToBe(name, 'https://claude.ai.evil.com/api/mcp/auth_callback'), name)
  }
  for (const name of [
    'Claudette',
    'Mongoose',
    'Tester',
    'MCP Client (Auto-registered)',
    'Notes',
    '',
  ]) {
    assert.equal(pretendsToBe(name, elsewhere), undefined, name)
  }
  for (const [name, , redirectUri] of seen) {
    assert.equal(pretendsToBe(name, redirectUri), undefined, `${name} at ${redirectUri}`)
  }
})

onEveryDatabase('the consent page is told who is a pretender and who is not', async (t, store) => {
  const rig = await createRig(t, store)
  const person = await rig.signIn()
  const standing = async (client_name: string, uri: string) => {
    const client = await register(rig, { client_name, redirect_uris: [uri] })
    const query = authorizeQuery(client, { redirect_uri: uri })
    return (await askConsent(rig, person, query)).step.view.standing
  }
  assert.deepEqual(await standing('Claude', elsewhere), { kind: 'pretender', name: 'Claude' })
  assert.deepEqual(await standing('Claude', claudeCallback), { kind: 'unknown' })
  assert.deepEqual(await standing('Tester', elsewhere), { kind: 'unknown' })

  const byHand = await rig.issuer.clients.create(
    { tenant: rig.tenant },
    { name: 'Claude', redirectUris: [elsewhere] },
  )
  const query = authorizeQuery({ id: byHand.client.id, secret: undefined })
  const { step } = await askConsent(rig, person, query)
  assert.deepEqual(step.view.standing, { kind: 'made_here' })
})

onEveryDatabase('the badge goes with the address that is asked for', async (t, store) => {
  const rig = await createRig(t, store)
  const person = await rig.signIn()
  const { id } = await register(rig, {
    client_name: 'Claude',
    redirect_uris: [claudeCallback, elsewhere],
  })
  await rig.db
    .updateTable('clients')
    .set({ id: claudeDocument, kind: 'document', fresh_until: rig.clock.now() + 1000 })
    .where('id', '=', id)
    .execute()
  const standing = async (uri: string) => {
    const client = { id: claudeDocument, secret: undefined }
    const query = authorizeQuery(client, { redirect_uri: uri })
    return (await askConsent(rig, person, query)).step.view.standing
  }
  const verified = { kind: 'verified', name: 'Claude', maker: 'Anthropic' }
  assert.deepEqual(await standing(claudeCallback), verified)
  assert.deepEqual(await standing(elsewhere), { kind: 'pretender', name: 'Claude' })
})

onEveryDatabase(
  'without an address only what a client proved counts (RFC 8628 §5.6)',
  async (t, store) => {
    verifies(t, 'X-23')
    const rig = await createRig(t, store)
    const { id } = await register(rig, { client_name: 'ChatGPT' })
    const registered = await findClient(rig.db, rig.tenant, id)
    assert.ok(registered)
    const standing = (changes: Partial<Client>, method: ClientAuthMethod = 'private_key_jwt') => {
      const metadata = { ...registered.metadata, token_endpoint_auth_method: method }
      return standingByProof({ ...registered, metadata, ...changes })
    }
    const document = { kind: 'document', id: 'https://chatgpt.com/oauth/client.json' } as const
    const pretender = { kind: 'pretender', name: 'ChatGPT' }
    assert.deepEqual(standing(document), { kind: 'verified', name: 'ChatGPT', maker: 'OpenAI' })
    assert.deepEqual(standing({ ...document, id: 'https://evil.test/client.json' }), pretender)
    const open = { ...registered.metadata, token_endpoint_auth_method: 'none' } as const
    assert.deepEqual(standing({ ...document, metadata: open }), pretender, 'anybody can say its id')
    assert.deepEqual(standing({}), pretender)
    assert.deepEqual(standing({ name: 'A television' }), { kind: 'unknown' })
    assert.deepEqual(standing({ kind: 'manual' }), { kind: 'made_here' })
    assert.deepEqual(standing({ kind: 'manual', metadata: open }), { kind: 'unknown' })
  },
)

onEveryDatabase('Cursor registers its own scheme although it says it is web', async (t, store) => {
  const rig = await createRig(t, store)
  const redirectUris = knownClients.find(({ name }) => name === 'Cursor')?.callbacks ?? []
  const [scheme] = redirectUris
  assert.ok(typeof scheme === 'string')
  const client = await register(rig, {
    client_name: 'Cursor',
    application_type: 'web',
    redirect_uris: redirectUris,
  })
  assert.ok(await obtainCode(rig, await rig.signIn(), client, { redirect_uri: scheme }))
})

onEveryDatabase('the metadata makes Claude choose its document', async (t, store) => {
  const { issuer, tenant } = await createRig(t, store)
  const document = issuer.metadata(tenant)
  assert.equal(document['client_id_metadata_document_supported'], true)
  const methods = document['token_endpoint_auth_methods_supported']
  assert.ok(Array.isArray(methods) && methods.includes('none'))
})

onEveryDatabase(
  'whose client id is dead is told how to connect anew in that program: peers §3 row 24',
  async (t, store) => {
    const rig = await createRig(t, store)
    const dead = 'mcp_oauth_dead'
    assert.match(await hint(rig, dead, claudeCallback), /^In Claude, open Settings/)
    assert.match(
      await hint(rig, dead, 'http://127.0.0.1:1/callback'),
      /^In Claude Code, .+ For Codex, run/,
    )
    assert.match(await hint(rig, dead, elsewhere), /^In the program that sent you here/)
    assert.match(await hint(rig, dead, undefined), /^In the program that sent you here/)
    assert.match(await hint(rig, claudeDocument, elsewhere), /^In Claude, open Settings/)
  },
)

async function hint(
  { issuer, tenant }: Rig,
  id: string,
  redirectUri: string | undefined,
): Promise<string> {
  const query = authorizeQuery({ id, secret: undefined }, { redirect_uri: redirectUri })
  const error = await issuer.authorize.begin(tenant, query, undefined).catch((e: unknown) => e)
  assert.ok(isFault(error) && error.code === 'invalid_client', String(error))
  return error.detail?.['client'] ?? ''
}
