// What `latchkey test-flow` checks, in the order in which it does: first that the server is the database's own, then
// everything between a registration and the end of the last token. A chapter that fails leaves the others to be tried.
import { randomSecret, systemRandom } from '../base/random.ts'
import type { Workshop } from '../workshop.ts'
import {
  authorize,
  authorizePath,
  createPkce,
  expect,
  expectStatus,
  introspect,
  listTools,
  obtainCode,
  obtainTokens,
  readTokens,
  redeem,
  refresh,
  register,
  revoke,
} from './test-flow-client.ts'
import type { Stage, TestClient, TestTokens } from './test-flow-client.ts'
import type { AskServer } from './test-flow-http.ts'

/** Does one piece of work under a name, and says how it went; throws what the work threw. */
export type Check = <T>(words: string, work: () => Promise<T>) => Promise<T>

/** Is it the server of this database? Throws in words when it does not answer or is another. */
export async function checkServer(
  { issuer, tenant }: Workshop,
  { ask, url }: { readonly ask: AskServer; readonly url: string },
): Promise<void> {
  const metadata = await ask({ path: '/.well-known/oauth-authorization-server' })
  const named = metadata.json['issuer']
  if (metadata.status !== 200 || typeof named !== 'string') {
    throw new Error(`${url} answers, but is no Latchkey for ${tenant.issuer}.`)
  }
  if (named !== tenant.issuer) {
    throw new Error(
      `${url} is the Latchkey of ${named}; this database belongs to ${tenant.issuer}.`,
    )
  }
  const { keys: ours } = await issuer.signingKeys.published(tenant)
  const { json } = await ask({ path: '/oauth/jwks' })
  const theirs = JSON.stringify(json['keys'] ?? [])
  if (ours.some(({ kid }) => theirs.includes(kid))) return
  throw new Error(
    `${url} is another Latchkey than the one of this database: its keys are not the ones stored here.`,
  )
}

/** Everything else. Resolves when all chapters were tried; `check` has heard how each went. */
export async function checkFlow(workshop: Workshop, stage: Stage, check: Check): Promise<void> {
  const client = await check('A client registers itself', () => register(stage))
  const facts = { workshop, stage, client, check }
  const chapters = [checkRefusals, checkCodeAndToken, checkCodeReuse, checkRefresh, checkRevocation]
  let failure: unknown
  for (const chapter of chapters) {
    try {
      await chapter(facts)
    } catch (thrown) {
      failure ??= thrown
    }
  }
  if (failure !== undefined) throw failure
}

interface Facts {
  readonly workshop: Workshop
  readonly stage: Stage
  readonly client: TestClient
  readonly check: Check
}

async function checkRefusals({ stage, client, check }: Facts): Promise<void> {
  const { challenge, verifier } = createPkce()
  await check('Who is not signed in is sent to sign in', async () => {
    const answer = await stage.ask({ path: authorizePath(stage, client, { challenge }) })
    expectStatus(answer, 302)
    expect(answer.header('location').startsWith('/sign-in?'), 'it led elsewhere')
  })
  await check('An address that was not registered is not redirected to', async () => {
    const redirectUri = `${stage.run.redirectUri}/other`
    const answer = await stage.ask({
      path: authorizePath(stage, client, { challenge, redirectUri }),
    })
    expectStatus(answer, 400)
    expect(answer.header('location') === '', 'it redirected')
  })
  await check('A wrong client secret is refused', async () => {
    const secret = randomSecret(systemRandom, 'mcp_cs_')
    const code = randomSecret(systemRandom, 'auth_')
    const answer = await redeem(stage, { ...client, secret }, { code, verifier })
    expectStatus(answer, 401, 'invalid_client')
  })
  await check('A person who denies is believed', async () => {
    const query = await authorize(stage, client, { challenge, decision: 'deny' })
    expect(query.get('error') === 'access_denied', 'no access_denied came back')
    expect(query.get('code') === null, 'a code came back')
  })
}

async function checkCodeAndToken({ workshop, stage, client, check }: Facts): Promise<void> {
  const { issuer, tenant } = workshop
  const made = await check('A person agrees, and a code goes back with the state unchanged', () =>
    obtainCode(stage, client),
  )
  await check('The code is stored, as a digest, for one use', async () => {
    const found = await issuer.tokens.inspect(tenant, made.code)
    expect(found?.kind === 'code' && found.endedBy === undefined, 'it is not in the database')
  })
  await check('A wrong verifier is refused, and spends nothing', async () => {
    const answer = await redeem(stage, client, { ...made, verifier: createPkce().verifier })
    expectStatus(answer, 400, 'invalid_grant')
  })
  const tokens = await check('The code gives an access token and a refresh token', async () =>
    readTokens(await redeem(stage, client, made)),
  )
  await check('The tokens are stored, as digests, for the person and the client', async () => {
    for (const secret of [tokens.access, tokens.refresh]) {
      const found = await issuer.tokens.inspect(tenant, secret)
      const isAlive = found !== undefined && found.endedBy === undefined
      expect(isAlive && found.client?.id === client.id, 'one is not in the database')
      expect(found?.user?.id === stage.run.user.id, 'one belongs to somebody else')
    }
  })
  await check('The access token lists the tools at /mcp', () => expectGood(stage, tokens))
  await check('Without a token /mcp says where to get one', async () => {
    const answer = await listTools(stage)
    expectStatus(answer, 401)
    expect(answer.header('www-authenticate').includes('resource_metadata='), 'it does not')
  })
  await check('Introspection tells the token’s client, person and scope', async () => {
    const { active, client_id: id, sub, scope } = await introspect(stage, client, tokens.access)
    expect(active === true && id === client.id, 'it is not active')
    expect(sub === stage.run.user.id && scope === tokens.scope, 'it tells something else')
  })
}

async function checkCodeReuse({ stage, client, check }: Facts): Promise<void> {
  const { made, tokens } = await check('A second grant is made', async () => {
    const made = await obtainCode(stage, client)
    return { made, tokens: readTokens(await redeem(stage, client, made)) }
  })
  await check('A code that is used again is refused', async () => {
    expectStatus(await redeem(stage, client, made), 400, 'invalid_grant')
  })
  await check('… and the tokens that were made from it are dead', async () => {
    expectStatus(await listTools(stage, tokens.access), 401)
    expectStatus(await refresh(stage, client, tokens.refresh), 400, 'invalid_grant')
  })
}

async function checkRefresh({ stage, client, check }: Facts): Promise<void> {
  const first = await check('A third grant is made', () => obtainTokens(stage, client))
  const second = await check(
    'A refresh gives a new access token and a new refresh token',
    async () => {
      const next = readTokens(await refresh(stage, client, first.refresh))
      expect(!isSame(next, first), 'they are the old ones')
      await expectGood(stage, next)
      return next
    },
  )
  await check(
    'The same refresh again, as when an answer is lost, gives the same tokens',
    async () => {
      const again = readTokens(await refresh(stage, client, first.refresh))
      expect(isSame(again, second), 'they are others')
    },
  )
  const third = await check(
    'A refresh token that comes back after its successor was used is refused',
    async () => {
      const next = readTokens(await refresh(stage, client, second.refresh))
      expectStatus(await refresh(stage, client, first.refresh), 400, 'invalid_grant')
      return next
    },
  )
  await check('… and its whole family is dead', async () => {
    expectStatus(await listTools(stage, third.access), 401)
    expectStatus(await refresh(stage, client, third.refresh), 400, 'invalid_grant')
  })
}

function isSame(one: TestTokens, other: TestTokens): boolean {
  return (
    one.access.reveal() === other.access.reveal() || one.refresh.reveal() === other.refresh.reveal()
  )
}

async function checkRevocation({ stage, client, check }: Facts): Promise<void> {
  const tokens = await check('A fourth grant is made', () => obtainTokens(stage, client))
  await check('A revoked access token is dead on the very next request', async () => {
    await expectGood(stage, tokens)
    await revoke(stage, client, tokens.access)
    expectStatus(await listTools(stage, tokens.access), 401)
    const { active } = await introspect(stage, client, tokens.access)
    expect(active === false, 'introspection calls it active')
  })
  await check('A revoked refresh token takes everything of its grant with it', async () => {
    const next = readTokens(await refresh(stage, client, tokens.refresh))
    await expectGood(stage, next)
    await revoke(stage, client, next.refresh)
    expectStatus(await listTools(stage, next.access), 401)
    expectStatus(await refresh(stage, client, next.refresh), 400, 'invalid_grant')
  })
}

async function expectGood(stage: Stage, { access }: TestTokens): Promise<void> {
  const answer = await listTools(stage, access)
  expectStatus(answer, 200)
  const { result } = answer.json as { readonly result?: { readonly tools?: unknown } } // JSON-RPC 2.0 §5
  expect(Array.isArray(result?.tools), 'no list of tools came back')
}
