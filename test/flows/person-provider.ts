// A provider at which the people of a platform under test sign in: a real oidc-provider that knows one client of ours.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { startForeignAuthorizationServer } from '../counterparts/foreign-authorization-server.ts'
import type {
  ForeignAuthorizationServer,
  ForeignAuthorizationServerOptions,
} from '../counterparts/foreign-authorization-server.ts'
import { restAs, signIn } from '../harness.ts'
import type { RestAnswer, TestPlatform } from '../harness.ts'

export const clientId = 'latchkey-there'
export const clientSecret = 'a secret that the provider knows us by'

export interface PersonProvider {
  readonly idp: ForeignAuthorizationServer
  /** The provider as REST shows it. */
  readonly provider: RestAnswer['body']
  /** REST as the operator. */
  readonly ada: (method: string, path: string, body?: unknown) => Promise<RestAnswer>
}

/** Starts the provider and has the operator set it up. */
export async function startPersonProvider(
  t: TestContext,
  { origin, alsoSecret }: TestPlatform,
  {
    input = {},
    clientMetadata = {},
    ...options
  }: ForeignAuthorizationServerOptions & {
    readonly input?: Readonly<Record<string, unknown>>
    readonly clientMetadata?: Readonly<Record<string, unknown>>
  } = {},
): Promise<PersonProvider> {
  const slug = 'company'
  const idp = await startForeignAuthorizationServer({
    scopes: ['profile', 'email'],
    offersRegistration: false,
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [`${origin}/sign-in/${slug}/callback`],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        backchannel_logout_uri: `${origin}/oauth/backchannel-logout/${slug}`,
        backchannel_logout_session_required: true,
        ...clientMetadata,
      },
    ],
    ...options,
  })
  t.after(() => idp.stop())
  t.after(() => alsoSecret([clientSecret, ...idp.tokensIssued()]))
  const ada = restAs(await signIn(origin), origin)
  const made = await ada('POST', '/providers', {
    kind: 'oidc',
    name: 'Company',
    slug,
    issuer: idp.issuer,
    clientId,
    clientSecret,
    ...input,
  })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  return { idp, provider: made.body, ada }
}

/** Goes to the sign-in page and through the provider; the browser stands where it was led to. */
export async function signInElsewhere(
  origin: string,
  { browser = createCookieBrowser(), as, user }: SignInAs = {},
): Promise<CookieBrowser> {
  if (user !== undefined) as?.signInAs(user)
  await browser.open(`${origin}/sign-in`)
  await browser.submit({ button: 'Continue with Company' })
  return browser
}

interface SignInAs {
  readonly browser?: CookieBrowser
  /** The provider, where it is to say that somebody else is there. */
  readonly as?: ForeignAuthorizationServer
  readonly user?: string
}
