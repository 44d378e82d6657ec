// What the authorization server says of itself (RFC 8414): looked up when it is first needed, kept for a while.
import { authorizationServerUrls } from '../oauth/well-known.ts'
import { boundedFetch, jsonOf, requireSafe, unavailable } from './bounded-fetch.ts'
import type { Fetch } from './bounded-fetch.ts'

interface Settings {
  readonly issuer: string
  readonly fetch?: Fetch | undefined
  readonly now: () => number
}

const keptMs = 600_000

/** Finds endpoints by their name in the metadata. They throw Fault('temporarily_unavailable') where there is none. */
export function createMetadata({ issuer, fetch, now }: Settings) {
  requireSafe('issuer', issuer)
  let kept: { readonly until: number; readonly document: Promise<Document> } | undefined
  const read = (): Promise<Document> => {
    if (kept !== undefined && now() < kept.until) return kept.document
    const document = lookUp(issuer, fetch)
    const own = { until: now() + keptMs, document }
    kept = own
    // What failed is looked up again the next time; whoever waits for it now hears of it once.
    document.catch(() => {
      if (kept === own) kept = undefined
    })
    return document
  }
  return async (name: 'introspection_endpoint' | 'jwks_uri'): Promise<string> => {
    const found = (await read())[name]
    if (typeof found === 'string') return requireSafe(name, found)
    throw unavailable(`the authorization server publishes no ${name}`)
  }
}

type Document = Readonly<Record<string, unknown>>

async function lookUp(issuer: string, fetch: Fetch | undefined): Promise<Document> {
  for (const url of authorizationServerUrls(issuer)) {
    const response = await boundedFetch(url, { headers: { accept: 'application/json' } }, fetch)
    if (response.status !== 200) continue
    const document = await jsonOf(response)
    // RFC 8414 §3.3: the issuer is compared byte for byte.
    if (document['issuer'] === issuer) return document
    throw unavailable('the metadata is of another issuer')
  }
  throw unavailable('the authorization server publishes no metadata')
}
