// A route is data: method, path, guard, limits, CORS, input, query, output, words and what runs. The router, the guards, the
// error shapes and the tests that ask "is every door guarded?" read the same rows.
import type { z } from 'zod'
import type { Fault, FaultCode } from '../base/fault.ts'
import type { Secret } from '../base/secret.ts'
import type { Visitor } from '../journal/attempts.ts'
import type { KeyPrincipal, SessionPrincipal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import type { RowLimitName } from './limits.ts'
import type { Meter } from './meter.ts'
import type { Output } from './output.ts'

/**
 * Who may come in. `open`: anybody; nothing of a person is known. `visitor`: anybody, but a signed-in person is
 * recognised. `session`: a signed-in browser. `api`: a signed-in browser or an API key. `admin`: the same, of an admin.
 * `operator`: the same, of an operator, which nobody is in any tenant but the default one.
 * `bearer` and `client`: the room behind verifies the access token or the client's authentication, because it takes the
 * resource or the client's registration to do so; the handler gets no identity from the door.
 */
export type Guard =
  | 'open'
  | 'bearer'
  | 'client'
  | 'visitor'
  | 'session'
  | 'api'
  | 'admin'
  | 'operator'

/** Which shape an error takes: RFC 6749 §5.2, RFC 9457, or a page for people. */
export type Surface = 'oauth' | 'api' | 'page'

/** What every handler gets. Identity is not in it: only a guard adds that. */
export interface Visit {
  readonly tenant: Tenant
  readonly request: Request
  /** Path and query as they were asked for, within the tenant. */
  readonly path: string
  readonly query: URLSearchParams
  readonly params: Readonly<Record<string, string>>
  /** The cookie that marks this browser, if it has one. */
  readonly browser: Secret | undefined
  /** The body as text, within the route's limit. */
  readonly body: string
  /** What this request takes of the limits; the ones of the row are taken already. */
  readonly meter: Meter
  /** Who comes without an id, for the attempt that they may be making. */
  readonly visitor: Visitor
  /** Says that a request was refused, where the answer is a redirect and nothing is thrown. */
  readonly noteRefusal: (fault: Fault) => void
}

interface GuardedBy {
  readonly open: unknown
  readonly bearer: unknown
  readonly client: {
    /** The client that the request names; nothing is proven by that. */
    readonly namedClient: string | undefined
  }
  readonly visitor: { readonly session: SessionPrincipal | undefined }
  readonly session: { readonly principal: SessionPrincipal }
  readonly api: { readonly principal: SessionPrincipal | KeyPrincipal }
  readonly admin: { readonly principal: SessionPrincipal | KeyPrincipal }
  readonly operator: { readonly principal: SessionPrincipal | KeyPrincipal }
}

/** A visit in which a signed-in person is recognised. */
export type Recognised = Visit & GuardedBy['visitor']

/** A visit of a signed-in person. */
export type SignedIn = Visit & GuardedBy['session']

export type Context<G extends Guard, I> = Visit & GuardedBy[G] & { readonly input: I }

/** One parameter of a query. */
export interface QueryParameter {
  readonly name: string
  readonly words: string
  /** What it may be, as JSON Schema says it. */
  readonly schema: Readonly<Record<string, unknown>>
}

/** One row. `open` rows that touch the caller's identity do not compile: their context has none. */
export interface RouteRow<G extends Guard, I> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path with `{name}` segments. */
  readonly path: string
  readonly guard: G
  readonly surface: Surface
  /** `public`: any origin may read it, without credentials; default none. */
  readonly cors?: 'public'
  /** What it is limited by, the narrowest first; by default by its caller, or else by the caller's place. */
  readonly limits?: readonly RowLimitName[]
  /** The scope that an API key needs besides `api`. */
  readonly keyScope?: string
  /** Its answer holds only at this moment, so an Idempotency-Key does not bring an earlier one back. */
  readonly isNeverReplayed?: true
  /** Largest body, default 64 KiB. */
  readonly bodyBytes?: number
  /** Shape of a JSON body; other fields are refused. */
  readonly input?: z.ZodType<I>
  /** The parameters of its query; a row of REST sees no others. */
  readonly query?: readonly QueryParameter[]
  /** What it answers with when all is well; the tests hold every answer of REST against it. */
  readonly output?: Output
  /** What it may refuse with besides what every row of its kind does, as far as known. */
  readonly faults?: readonly FaultCode[]
  /** What it does, for the API description. */
  readonly words: string
  readonly run: (context: Context<G, I>) => Promise<Response>
}

/** A row whose handler's needs are hidden, as the router holds it. */
export type Route = Omit<RouteRow<Guard, unknown>, 'run'> & {
  readonly run: (context: Context<Guard, unknown>) => Promise<Response>
}

/** Makes a row; the guard decides what its handler can see. */
export function route<G extends Guard, I = undefined>(row: RouteRow<G, I>): Route {
  // The router calls run with exactly the context that the guard of this row made.
  return row as unknown as Route
}
