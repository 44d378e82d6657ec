// Consent: what a person agreed to for a client, whether that still covers what is asked, and what the page shows.
// When to ask is decided by authorize.ts.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Journal } from '../journal/entries.ts'
import { isLoopbackRedirect, redirectHost } from '../oauth/redirect-uri.ts'
import { formatScope, isSubset, parseScope, unionScopes } from '../oauth/scope.ts'
import type { SessionPrincipal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ConsentRow } from '../store/schema.ts'
import type { Client } from './clients.ts'
import { pretendsToBe, verifiedAs } from './known-clients.ts'
import type { Resource } from './resources.ts'
import type { Scopes } from './scope-registry.ts'
import type { ShownScope } from './scopes.ts'

/** What the consent page shows; every text in it is the client's own word and must be escaped. */
export interface ConsentView {
  readonly clientName: string
  readonly clientId: string
  readonly clientUri?: string
  /** Where the answer goes; the page shows it prominently. */
  readonly redirectHost: string
  readonly redirectUri: string
  /** True when any program on the person's machine could pretend to be this client. */
  readonly isLoopbackOnly: boolean
  readonly standing: Standing
  readonly serverName: string
  readonly resource: string
  readonly scopes: readonly ShownScope[]
  /** The account that is signed in. */
  readonly userEmail: string
}

/** How far a client can be believed to be what it says. */
export type Standing =
  /** It is what it says: its makers' document, answered at their address. */
  | { readonly kind: 'verified'; readonly name: string; readonly maker: string }
  /** An administrator made it by hand. */
  | { readonly kind: 'made_here' }
  /** It bears the name of a program that is answered elsewhere. */
  | { readonly kind: 'pretender'; readonly name: string }
  | { readonly kind: 'unknown' }

/** What is asked of one person. */
export interface ConsentQuestion {
  readonly client: Client
  readonly redirectUri: string
  readonly scopes: readonly string[]
  readonly resource: Resource
  /** The request that asks; joins the journal's entries about it. */
  readonly attempt: string
}

/** Draws the facts of the consent page together. */
export async function consentView(
  registry: Pick<Scopes, 'show'>,
  { client, redirectUri, scopes, resource }: ConsentQuestion,
  { tenant, user }: SessionPrincipal,
): Promise<ConsentView> {
  const { client_uri, redirect_uris } = client.metadata
  return {
    clientName: client.name,
    clientId: client.id,
    ...(client_uri === undefined ? {} : { clientUri: client_uri }),
    redirectHost: redirectHost(redirectUri),
    redirectUri,
    isLoopbackOnly: redirect_uris.every(isLoopbackRedirect),
    standing: standingOf(client, redirectUri),
    serverName: resource.name,
    resource: resource.resource,
    scopes: await registry.show(tenant, scopes),
    userEmail: user.email ?? user.name ?? user.id,
  }
}

function standingOf(client: Client, redirectUri: string): Standing {
  if (client.kind === 'manual') return { kind: 'made_here' }
  const known = verifiedAs(client, redirectUri)
  if (known !== undefined) return { kind: 'verified', name: known.name, maker: known.maker }
  const imitated = pretendsToBe(client.name, redirectUri)
  return imitated === undefined ? { kind: 'unknown' } : { kind: 'pretender', name: imitated.name }
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
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'consent.given',
    actor: { kind: 'user', id: user.id },
    userId: user.id,
    subject: { kind: 'client', id: client.id },
    attempt: question.attempt,
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
  readonly question: ConsentQuestion
  readonly session: SessionPrincipal
}

const formPurpose = 'consent_form'

function formData({ question, session }: BoundForm): string {
  const { attempt, client } = question
  return JSON.stringify([session.tenant.id, attempt, session.sessionDigest, client.metadataDigest])
}
