// Who we say we are as a client: our redirect URIs, one for each connection context, and our Client ID Metadata Documents
// (draft-ietf-oauth-client-id-metadata-document). Serving them is left to the doors.
import { createHash } from 'node:crypto'
import type { TenantFacts } from './holder.ts'

/** A Client ID Metadata Document; its names are those of RFC 7591 §2. */
export type ClientDocument = Readonly<Record<string, unknown>>

const clientNameDefault = 'Latchkey'

/** What we are called where people see who asks. */
export function clientNameOf({ name = clientNameDefault }: TenantFacts): string {
  return name
}

/** The redirect URI of one connection context; distinct ones keep two servers' answers apart (RFC 9700 §4.4.2). */
export function redirectUriOf(tenant: TenantFacts, context: string): string {
  return `${tenant.issuer}/connect/callback/${context}`
}

/** The address of one context's document, which is our client id there; an app's redirect URI has a document of its own. */
export function clientDocumentUrl(tenant: TenantFacts, context: string, appUri?: string): string {
  const mark = appUri === undefined ? '' : `.${shortDigest(appUri)}`
  return `${tenant.issuer}/connect/client-metadata/${context}${mark}.json`
}

/** Where the public half of a context's key is. */
export function clientKeysUrl(tenant: TenantFacts, context: string): string {
  return `${tenant.issuer}/connect/client-keys/${context}.json`
}

/** The document of one connection context, or of an app's redirect URI in it; with a key it says how we prove ourselves. */
export function contextClientDocument(
  tenant: TenantFacts,
  context: string,
  { hasKey = false, appUri }: { readonly hasKey?: boolean; readonly appUri?: string } = {},
): ClientDocument {
  const document = documentOf(tenant, {
    clientId: clientDocumentUrl(tenant, context, appUri),
    redirectUris: [appUri ?? redirectUriOf(tenant, context)],
  })
  if (!hasKey) return document
  return {
    ...document,
    token_endpoint_auth_method: 'private_key_jwt',
    // SEP-3149: a server that takes no keys lets us in without.
    token_endpoint_auth_methods_supported: ['private_key_jwt', 'none'],
    jwks_uri: clientKeysUrl(tenant, context),
  }
}

function shortDigest(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 16)
}

/** The tenant's own document: as many contexts as fit. */
export function tenantClientDocument(
  tenant: TenantFacts,
  contexts: readonly string[],
): ClientDocument {
  const clientId = `${tenant.issuer}/connect/client-metadata.json`
  const redirectUris: string[] = []
  let room = documentBytesMax - bytesOf(documentOf(tenant, { clientId, redirectUris }))
  for (const context of contexts) {
    const uri = redirectUriOf(tenant, context)
    room -= bytesOf(uri) + 1
    if (room < 0) break
    redirectUris.push(uri)
  }
  return documentOf(tenant, { clientId, redirectUris })
}

// CIMD draft §6.6: servers need not read more than 5 kilobytes.
const documentBytesMax = 5000

function documentOf(
  tenant: TenantFacts,
  {
    clientId,
    redirectUris,
  }: { readonly clientId: string; readonly redirectUris: readonly string[] },
): ClientDocument {
  return {
    client_id: clientId,
    client_name: clientNameOf(tenant),
    client_uri: tenant.issuer,
    redirect_uris: redirectUris,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'web',
  }
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}
