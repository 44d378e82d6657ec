// Sees every request come and go at the app: measures it, and notes for the journal what belongs to an attempt of a client
// to connect and is written down nowhere else: metadata that was asked for, and refusals of the OAuth endpoints.
import type { Clock } from '../base/clock.ts'
import type { Fault } from '../base/fault.ts'
import { namedClient } from '../issuer/client-authentication.ts'
import { grantTypeNames } from '../issuer/metadata.ts'
import type { Traces } from '../issuer/traces.ts'
import type { Visitor } from '../journal/attempts.ts'
import type { EntryType } from '../journal/entries.ts'
import type { Notes } from '../journal/notes.ts'
import { testMarkHeader } from '../journal/test-mark.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Metrics } from './metrics.ts'

/** One request on its way. */
export interface Passage {
  readonly visitorOf: (tenant: Tenant) => Visitor
  readonly answered: (tenant: Tenant | undefined, status: number) => void
  /** Was refused, or told the client so by a redirect; `body` is what it had sent. */
  readonly refused: (tenant: Tenant | undefined, fault: Fault, body?: string) => void
}

export interface Witness {
  readonly begin: (request: Request, facts: Facts) => Passage
}

/** What the app has found out about a request. */
interface Facts {
  readonly url: URL
  readonly address: string | undefined
  /** The path of the row, without anybody's ids. */
  readonly route: string | undefined
}

interface Needs {
  readonly clock: Clock
  readonly notes: Pick<Notes, 'note'>
  readonly issuer: { readonly traces: Pick<Traces, 'ofForm'> }
  readonly metrics: Metrics
}

/** Makes the witness. */
export function createWitness({ clock, notes, issuer, metrics }: Needs): Witness {
  return {
    begin: (request, { url, address, route }) => {
      const startedAt = clock.now()
      const startedMs = performance.now()
      const { pathname, searchParams } = url
      const visitorOf = ({ id }: Tenant): Visitor => ({
        tenantId: id,
        address,
        agent: request.headers.get('user-agent') ?? undefined,
        testMark: request.headers.get(testMarkHeader) ?? undefined,
      })
      const seen: Seen = { request, pathname, query: searchParams }

      return {
        visitorOf,
        answered: (tenant, status) => {
          const { method } = request
          metrics.observe({ method, route, status, ms: performance.now() - startedMs })
          if (tenant === undefined || method !== 'GET' || !isMetadata(pathname)) return
          const document = documentOf(pathname)
          notes.note({
            visitor: visitorOf(tenant),
            type: 'discovery.answered',
            same: [document, `${status}`],
            data: { document, status, durationMs: clock.now() - startedAt },
          })
        },
        refused: (tenant, fault, body = '') => {
          if (route !== undefined) metrics.refused(route, fault.code)
          const kind = route === undefined ? undefined : refusals[route]
          if (tenant === undefined || kind === undefined || asExpected.has(fault.code)) return
          const about = kind.about({ ...seen, body })
          const { code: error, because } = fault
          const { clientId } = about
          notes.note({
            visitor: visitorOf(tenant),
            type: kind.type,
            same: [error, clientId ?? '', ...about.same],
            refusal: { error, clientId },
            data: { error, because, ...about.data },
            find: async () =>
              kind.isTraced ? ((await issuer.traces.ofForm(tenant, body)) ?? {}) : {},
          })
        },
      }
    },
  }
}

/** Refusals that belong to a good way: a device asks until its person is through, a proof learns its nonce. */
const asExpected: ReadonlySet<string> = new Set([
  'authorization_pending', // RFC 8628 §3.5
  'slow_down',
  'use_dpop_nonce', // RFC 9449 §8
])

interface Seen {
  readonly request: Request
  readonly pathname: string
  readonly query: URLSearchParams
}

/** Who was refused, as far as they say, and by what the same refusal is known again. */
interface About {
  readonly clientId: string | undefined
  readonly same: readonly string[]
  readonly data?: Readonly<Record<string, string>>
}

interface Refusal {
  readonly type: EntryType
  /** Does what was presented lead to a grant? */
  readonly isTraced?: true
  readonly about: (seen: Seen & { readonly body: string }) => About
}

const askedByForm: Refusal = {
  type: 'authorization.refused',
  about: (seen) => ({ clientId: clientOf(seen), same: [] }),
}

const refusals: Readonly<Record<string, Refusal>> = {
  '/oauth/authorize': {
    type: 'authorization.refused',
    about: ({ query }) => ({
      clientId: query.get('client_id') ?? undefined,
      same: [query.get('redirect_uri') ?? ''],
    }),
  },
  '/oauth/par': askedByForm,
  '/oauth/device_authorization': askedByForm,
  '/oauth/register': {
    type: 'client.registration_refused',
    about: () => ({ clientId: undefined, same: [] }),
  },
  '/oauth/token': {
    type: 'token.refused',
    isTraced: true,
    about: (seen) => {
      const form = new URLSearchParams(seen.body)
      const grantType = grantTypeNames.find((name) => name === form.get('grant_type'))
      return {
        clientId: clientOf(seen),
        same: [form.get('code') ?? form.get('refresh_token') ?? form.get('device_code') ?? ''],
        data: { grantType: grantType ?? 'other' },
      }
    },
  },
}

/** Who a form says it is from; nobody has checked that. */
function clientOf({ request, body }: Seen & { readonly body: string }): string | undefined {
  const authorization = request.headers.get('authorization') ?? undefined
  return (
    namedClient({ authorization, body }) ?? new URLSearchParams(body).get('client_id') ?? undefined
  )
}

/** Clients look for metadata before and behind a path (RFC 8414 §3.1, RFC 9728 §3.1), found or not. */
function isMetadata(pathname: string): boolean {
  return pathname.includes('/.well-known/')
}

const documentPattern = /^\/[\w./-]{1,150}$/

/** The path as it was asked for, if it is nothing but a path. */
function documentOf(pathname: string): string {
  return documentPattern.test(pathname) ? pathname : '(other)'
}
