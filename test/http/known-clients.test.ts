// What a person sees of who is asking: a badge for a program that is what it says, a warning for one that only says so,
// and the way back in for one that is not known any more.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, encode, openDoors } from './doors.ts'
import type { Ask, Doors } from './doors.ts'

const claudeCallback = 'https://claude.ai/api/mcp/auth_callback'
const claudeDocument = 'https://claude.ai/oauth/mcp-oauth-client-metadata'

test('the consent page says who is asking, as far as that is known [X-39]', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const pageFor = async (client: string, redirectUri: string) => {
    const page = await browser.open(`${doors.origin}${authorizePath(client, redirectUri)}`)
    return page.html.replaceAll(/<[^>]*>/g, '').replaceAll(/\s+/g, ' ')
  }
  const evil = 'https://claude.ai.evil.test/cb'
  const pretender = await pageFor(await register(doors, 'Сlaude', evil), evil)
  assert.match(pretender, /calls itself Claude, but its answers do not go where/)
  assert.match(pretender, /claude\.ai\.evil\.test/)
  assert.doesNotMatch(pretender, /Verified/)

  const named = await pageFor(await register(doors, 'Claude', claudeCallback), claudeCallback)
  assert.match(named, /We have not verified who makes this program/)
  assert.doesNotMatch(named, /Verified/)

  await makeDocument(doors, await register(doors, 'Claude, by its document', claudeCallback))
  const verified = await pageFor(claudeDocument, claudeCallback)
  assert.match(verified, /Verified\s+Claude by Anthropic/)
  assert.doesNotMatch(verified, /not verified|calls itself/)
})

test('a dead client id gets a page with the way back in', async (t) => {
  const doors = await openDoors(t)
  const dead = await doors.ask({ path: authorizePath('mcp_oauth_dead', claudeCallback) })
  assertAnswer(dead, {
    status: 400,
    has: { 'content-type': /^text\/html/ },
    hasNot: ['location'],
    says: /In Claude, open Settings, then Connectors/,
    neverSays: ['mcp_oauth_dead', claudeCallback],
  })
  const stranger = 'https://app.test/<script>'
  assertAnswer(await doors.ask({ path: authorizePath('mcp_oauth_dead', stranger) }), {
    status: 400,
    says: /remove this connection and add it again/,
    neverSays: ['<script>'],
  })
})

test('a client that was switched off gets a page that says so', async (t) => {
  verifies(t, 'S3-3')
  const doors = await openDoors(t)
  const id = await register(doors, 'x', claudeCallback)
  await doors.store.db.updateTable('clients').set({ disabled_at: 1 }).execute()
  assertAnswer(await doors.ask({ path: authorizePath(id, claudeCallback) }), {
    status: 400,
    hasNot: ['location'],
    says: /An administrator of this server has switched this program off/,
  })
})

function authorizePath(client: string, redirectUri: string): string {
  const query = encode({
    response_type: 'code',
    client_id: client,
    redirect_uri: redirectUri,
    code_challenge: 'c'.repeat(43),
    code_challenge_method: 'S256',
  })
  return `/oauth/authorize?${query}`
}

async function register({ ask }: Doors, name: string, redirectUri: string): Promise<string> {
  const request: Ask = {
    path: '/oauth/register',
    json: {
      client_name: name,
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: 'none',
    },
  }
  const { status, json } = await ask(request)
  assert.equal(status, 201)
  return json.client_id
}

/** As if the document of Claude had just been fetched. */
async function makeDocument({ store }: Doors, id: string): Promise<void> {
  await store.db
    .updateTable('clients')
    .set({ id: claudeDocument, kind: 'document', fresh_until: Date.now() + 3_600_000 })
    .where('id', '=', id)
    .execute()
}
