// Consent: what a person agreed to for a client, whether that still covers what is asked, and what the page shows.
// When to ask is decided by authorize.ts.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Journal } from '../journal/entries.ts'
import { isLoopbackRedirect, redirectHost } from '../oauth/redirect-uri.ts'
import { formatScope, isSubset, parseScope, unionScopes } from '../oauth/scope.ts'
import type { SessionPrincipal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import { nameOf } from '../people/users.ts'
import type { Database } from '../store/database.ts'
import type { ConsentRow } from '../store/schema.ts'
import type { Client } from './clients.ts'
import { describedAs, namedAs, pretendsToBe, verifiedAs } from './known-clients.ts'
import type { Resource } from './resources.ts'
import type { Scopes } from './scope-registry.ts'
import type { ShownScope } from './scopes.ts'

/** What a person is shown before they decide; every text in it is the client's own word and must be escaped. */
export interface RequestView {
  readonly clientName: string
  readonly clientId: string
  readonly clientUri?: string
  readonly standing: Standing
  readonly serverName: string
  readonly resource: string
  readonly scopes: readonly ShownScope[]
  /** The account that is signed in. */
  readonly userEmail: string
}

/** What the consent page shows. */
export interface ConsentView extends RequestView {
  /** Where the answer goes; the page shows it prominently. */
  readonly redirectHost: string
  readonly redirectUri: string
  /** True when any program on the person's machine could pretend to be this client. */
  readonly isLoopbackOnly: boolean
}

/** How far a client can be believed to be what it says. */
export type Standing =
  /** It is what it says: its makers' document, answered at their address. */
  | { readonly kind: 'verified'; readonly name: string; readonly maker: string }
  /** An administrator made it by hand. */
  | { readonly kind: 'made_here' }
  /** It bears the name of a program that is answered elsewhere, or that has not proved itself. */
  | { readonly kind: 'pretender'; readonly name: string }
  | { readonly kind: 'unknown' }

/** What is asked of one person. */
export interface Question {
  readonly client: Client
  readonly scopes: readonly string[]
  readonly resource: Resource
  /** The request that asks. */
  readonly requestId: string
  /** Joins the journal's entries about it. */
  readonly attempt: string
}

/** What is asked of one person whose browser goes back to the client with the answer. */
export interface ConsentQuestion extends Question {
  readonly redirectUri: string
}

/** Draws the facts of the consent page together. */
export async function consentView(
  registry: Pick<Scopes, 'show'>,
  question: ConsentQuestion,
  session: SessionPrincipal,
): Promise<ConsentView> {
  const { client, redirectUri } = question
  return {
    ...(await requestView(registry, question, session, standingOf(client, redirectUri))),
    redirectHost: redirectHost(redirectUri),
    redirectUri,
    isLoopbackOnly: client.metadata.redirect_uris.every(isLoopbackRedirect),
  }
}

/** Draws the facts together that every such page shows. */
export async function requestView(
  registry: Pick<Scopes, 'show'>,
  { client, scopes, resource }: Question,
  { tenant, user }: SessionPrincipal,
  standing: Standing,
): Promise<RequestView> {
  const { client_uri } = client.metadata
  return {
    clientName: client.name,
    clientId: client.id,
    ...(client_uri === undefined ? {} : { clientUri: client_uri }),
    standing,
    serverName: resource.name,
    resource: resource.resource,
    scopes: await registry.show(tenant, scopes),
    userEmail: nameOf(user),
  }
}

function standingOf(client: Client, redirectUri: string): Standing {
  if (client.kind === 'manual') return { kind: 'made_here' }
  const known = verifiedAs(client, redirectUri)
  if (known !== undefined) return { kind: 'verified', name: known.name, maker: known.maker }
  const imitated = pretendsToBe(client.name, redirectUri)
  return imitated === undefined ? { kind: 'unknown' } : { kind: 'pretender', name: imitated.name }
}

/**
 * How far a client can be believed that is not answered by a redirect: no address vouches for it, and anybody can present
 * a public id (RFC 8628 §5.6), so only what it has proved counts.
 */
export function standingByProof(client: Client): Standing {
  const isProven = client.metadata.token_endpoint_auth_method !== 'none'
  if (client.kind === 'manual' && isProven) return { kind: 'made_here' }
  const known = isProven ? describedAs(client) : undefined
  if (known !== undefined) return { kind: 'verified', name: known.name, maker: known.maker }
  const imitated = client.kind === 'manual' ? undefined : namedAs(client.name)
  return imitated === undefined ? { kind: 'unknown' } : { kind: 'pretender', name: imitated.name }
}

/** The scopes that a person left ticked, all when they were not asked. Throws Fault('bad_form') for one that was not there. */
export function tickedScopes(
  { scopes }: Pick<Question, 'scopes'>,
  ticked: readonly string[] = scopes,
): readonly string[] {
  if (isSubset(ticked, scopes)) return scopes.filter((scope) => ticked.includes(scope))
  throw new Fault('bad_form', { because: 'a scope is ticked that was not asked for' })
}

/** Must this client ask every time? Any program on the machine can present a public id and a local address (RFC 8252 §8.6). */
export function mustAlwaysAsk({ client, redirectUri }: ConsentQuestion): boolean {
  const isPublic = client.metadata.token_endpoint_auth_method === 'none'
  return isPublic && (isLoopbackRedirect(redirectUri) || !redirectUri.startsWith('https:'))
}

/** Did this person agree to all of this before, and has nothing changed that they saw? */
export async function isRemembered(
  db: Database,
  { tenant, user }: SessionPrincipal,
  question: ConsentQuestion,
): Promise<boolean> {
  const row = await findConsent(db, { tenant, userId: user.id }, question)
  if (row?.metadata_digest !== question.client.metadataDigest) return false
  return isSubset(question.scopes, parseScope(row.scope))
}

/**
 * Remembers a person's answer inside the caller's transaction. What they gave before and were not asked for now is kept if
 * nothing changed since; what they were asked for and left out is forgotten.
 */
export async function rememberConsent(
  {
    tx,
    clock,
    journal,
  }: { readonly tx: Database; readonly clock: Clock; readonly journal: Journal },
  { tenant, user }: SessionPrincipal,
  question: ConsentQuestion & { readonly asked: readonly string[] },
): Promise<void> {
  const { client, redirectUri, scopes, resource, asked } = question
  const before = await findConsent(tx, { tenant, userId: user.id }, question)
  const isSame = before?.metadata_digest === client.metadataDigest
  const now = clock.now()
  const answer = {
    scope: formatScope(isSame ? unionScopes(keptOf(before, asked), scopes) : scopes),
    metadata_digest: client.metadataDigest,
    updated_at: now,
  }
  const key = ['tenant_id', 'user_id', 'client_id', 'redirect_host', 'resource'] as const
  await tx
    .insertInto('consents')
    .values({
      tenant_id: tenant.id,
      user_id: user.id,
      client_id: client.id,
      redirect_host: redirectHost(redirectUri),
      resource: resource.resource,
      created_at: now,
      ...answer,
    })
    .onConflict((conflict) => conflict.columns(key).doUpdateSet(answer))
    .execute()
  await recordConsent({ tx, journal }, { tenant, user }, question)
}

/** Says in the journal, inside the caller's transaction, that a person agreed. */
export async function recordConsent(
  { tx, journal }: { readonly tx: Database; readonly journal: Journal },
  { tenant, user }: Pick<SessionPrincipal, 'tenant' | 'user'>,
  { client, scopes, resource, attempt }: Question,
): Promise<void> {
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'consent.given',
    actor: { kind: 'user', id: user.id },
    userId: user.id,
    subject: { kind: 'client', id: client.id },
    attempt,
    data: { resource: resource.resource, scopes },
  })
}

function keptOf({ scope }: ConsentRow, asked: readonly string[]): readonly string[] {
  return parseScope(scope).filter((one) => !asked.includes(one))
}

function findConsent(
  db: Database,
  person: { readonly tenant: Tenant; readonly userId: string },
  { client, redirectUri, resource }: ConsentQuestion,
): Promise<ConsentRow | undefined> {
  return db
    .selectFrom('consents')
    .selectAll()
    .where('tenant_id', '=', person.tenant.id)
    .where('user_id', '=', person.userId)
    .where('client_id', '=', client.id)
    .where('redirect_host', '=', redirectHost(redirectUri))
    .where('resource', '=', resource.resource)
    .executeTakeFirst()
}

/**
 * The consent form's token: it binds the form to one request and one session, so no other page can post it, and
 * to what the client said about itself, so nobody agrees to what they have not seen.
 */
export function createFormToken(keyring: Keyring, form: BoundForm): string {
  return keyring.sign(formPurpose, formData(form))
}

/** Was this form made for this question and this session? */
export function isFormToken(keyring: Keyring, form: BoundForm, token: string): boolean {
  return keyring.verify(formPurpose, formData(form), token)
}

interface BoundForm {
  readonly question: Question
  readonly session: SessionPrincipal
}

const formPurpose = 'consent_form'

function formData({ question, session }: BoundForm): string {
  const { requestId, client } = question
  return JSON.stringify([
    session.tenant.id,
    requestId,
    session.sessionDigest,
    client.metadataDigest,
  ])
}
