// Who a provider says a person is: from its ID token, from userinfo (OIDC Core §5.3), or from whatever its own API answers,
// read by the mapping of an administrator.
import { Fault } from '../base/fault.ts'
import type { Outbound, OutboundResponse } from '../base/outbound.ts'
import { Secret } from '../base/secret.ts'
import { asObject, field } from '../oauth/shapes.ts'
import type { JsonObject } from '../oauth/shapes.ts'
import { atOthersAddress } from './others-addresses.ts'
import type { SignInProvider } from './sign-in-provider.ts'

/** A person as their provider knows them. */
export interface ProvidedPerson {
  /** Never another person's, there. */
  readonly subject: string
  readonly email?: string | undefined
  readonly emailVerified: boolean
  readonly name?: string | undefined
}

interface Needs {
  readonly outbound: Outbound
}

const answerBytes = 65_536
const deadlineMs = 10_000
const nameCharsMax = 200

/** What an ID token says, and userinfo of the same subject where the token leaves the address out (OIDC Core §5.3.2). */
export async function personOfIdToken(
  needs: Needs,
  provider: SignInProvider,
  { claims, accessToken }: { readonly claims: JsonObject; readonly accessToken: Secret },
): Promise<ProvidedPerson> {
  const said = readPerson(provider, claims)
  const { userinfoEndpoint } = provider.endpoints
  const wantsMore = said.email === undefined || said.name === undefined
  if (!wantsMore || userinfoEndpoint === undefined) return said
  const more = await askUserInfo(needs, userinfoEndpoint, accessToken)
  // A userinfo answer for somebody else is thrown away whole (OIDC Core §5.3.4).
  if (field(more, 'sub') !== field(claims, 'sub')) {
    throw invalid('userinfo speaks of another subject than the ID token')
  }
  return readPerson(provider, { ...more, ...claims })
}

/** What userinfo alone says. */
export async function personOfUserInfo(
  needs: Needs,
  provider: SignInProvider,
  accessToken: Secret,
): Promise<ProvidedPerson> {
  const { userinfoEndpoint, emailsEndpoint } = provider.endpoints
  if (userinfoEndpoint === undefined) throw invalid('the provider has no userinfo')
  const person = readPerson(provider, await askUserInfo(needs, userinfoEndpoint, accessToken))
  if (emailsEndpoint === undefined) return person
  const email = await verifiedAddress(needs, emailsEndpoint, accessToken)
  return email === undefined ? person : { ...person, email, emailVerified: true }
}

function readPerson(
  { claims: mapping, emailsAreVerified }: SignInProvider,
  claims: JsonObject,
): ProvidedPerson {
  const subject = at(claims, mapping.subject)
  const email = at(claims, mapping.email)
  const verified = at(claims, mapping.emailVerified)
  const name = at(claims, mapping.name)
  return {
    subject: asSubject(subject),
    email: typeof email === 'string' && email !== '' ? email : undefined,
    emailVerified: emailsAreVerified || verified === true || verified === 'true',
    name: isName(name) ? name.trim() : undefined,
  }
}

/** A member of a member: `user.id`. */
function at(claims: JsonObject, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, name) => field(asObject(value) ?? {}, name), claims)
}

/** Some count their people (GitHub does); whatever else a subject is written as has no one spelling. */
function asSubject(subject: unknown): string {
  const isCount = typeof subject === 'number' && Number.isSafeInteger(subject) && subject > 0
  const text = isCount ? String(subject) : subject
  if (typeof text === 'string' && /^[\x20-\x7E]{1,255}$/.test(text)) return text
  throw invalid('the provider names no subject')
}

function isName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name.trim() !== '' &&
    name.length <= nameCharsMax &&
    !/\p{C}/u.test(name)
  )
}

async function askUserInfo(needs: Needs, url: string, accessToken: Secret): Promise<JsonObject> {
  return asObject(await ask(needs, url, accessToken)) ?? notJson()
}

/** GitHub's way: a list in which one address is the primary one, and verified or not. */
async function verifiedAddress(
  needs: Needs,
  url: string,
  accessToken: Secret,
): Promise<string | undefined> {
  const list = await ask(needs, url, accessToken)
  if (!Array.isArray(list)) return notJson()
  const known = list.slice(0, 100).map((one) => asObject(one) ?? {})
  const primary = known.find((one) => one['primary'] === true && one['verified'] === true)
  const email = primary?.['email']
  return typeof email === 'string' ? email : undefined
}

async function ask({ outbound }: Needs, url: string, accessToken: Secret): Promise<unknown> {
  const response = await atOthersAddress(() =>
    outbound.fetch({
      url,
      headers: {
        accept: 'application/json',
        authorization: new Secret(`Bearer ${accessToken.reveal()}`),
      },
      purpose: 'userinfo',
      limits: { bytes: answerBytes, timeMs: deadlineMs, redirects: 0 },
    }),
  )
  requireGood(response)
  try {
    return response.json()
  } catch {
    return notJson()
  }
}

function requireGood({ status }: OutboundResponse): void {
  if (status === 200) return
  const because = `userinfo is answered ${status}`
  if (status === 429 || status >= 500) throw new Fault('provider_unreachable', { because })
  throw invalid(because)
}

function notJson(): never {
  throw invalid('userinfo is no JSON of the expected form')
}

function invalid(because: string): Fault {
  return new Fault('token_response_invalid', { because })
}
