// Ties a server's session ids to the caller they were given to, without a table: the id that the client sees carries a tag
// over (tenant, server, caller, connection, id). A session id is never proof of who calls (MCP security best practices, R13).
import type { Keyring } from '../base/keyring.ts'
import type { TokenPrincipal } from '../people/principal.ts'

/** Whose session it is. */
export interface SessionOwner {
  readonly principal: TokenPrincipal
  readonly serverId: string
  /** Whose account it is there; absent where the server knows none. */
  readonly connectionId?: string | undefined
}

export interface SessionBinding {
  /** The id as the client gets it, with what is to be remembered of the client; an empty one where the server gave none. */
  readonly bind: (owner: SessionOwner, id: string, facts?: SessionFacts) => string
  /** The id as the server knows it; undefined when it was not given to this caller for this server. */
  readonly unbind: (owner: SessionOwner, bound: string) => string | undefined
}

/** What a client said when its session began, and never says again. */
export interface SessionFacts {
  /** It can show a person a link that a server asks them to open. */
  readonly opensUrls: boolean
  /** The session is ours alone: the server has none. */
  readonly isOurs?: boolean
}

const purpose = 'upstream_session'
const opensUrlsMark = 'u'
const oursMark = 'o'
/** An HMAC-SHA256 in base64url, and before it the marks. */
const tailShape = /^(?<mark>u?o?)(?<tag>[\w-]{43})$/
const boundCharsMax = 2048

/** Makes the binding under one keyring; it outlives restarts and key rotation. */
export function createSessionBinding({ keyring }: { readonly keyring: Keyring }): SessionBinding {
  return {
    bind: (owner, id, facts) => {
      const mark = [facts?.opensUrls === true && opensUrlsMark, facts?.isOurs && oursMark]
        .filter(Boolean)
        .join('')
      return `${id}.${mark}${keyring.sign(purpose, describe(owner, id, mark))}`
    },
    unbind: (owner, bound) => {
      const dot = bound.lastIndexOf('.')
      const { mark, tag } = tailOf(bound) ?? {}
      if (dot < 0 || mark === undefined || tag === undefined) return undefined
      const id = bound.slice(0, dot)
      return keyring.verify(purpose, describe(owner, id, mark), tag) ? id : undefined
    },
  }
}

/**
 * What the client said of itself, read without asking whose session it is: it gives no right to anything, and the question
 * comes up exactly where the connection is gone that the session was bound to.
 */
export function sessionOpensUrls(bound: string | readonly string[] | undefined): boolean {
  return hasMark(bound, opensUrlsMark)
}

/** The same of whose session it is: that it is this caller's is asked later. */
export function sessionIsOurs(bound: string | readonly string[] | undefined): boolean {
  return hasMark(bound, oursMark)
}

function hasMark(bound: string | readonly string[] | undefined, mark: string): boolean {
  return typeof bound === 'string' && tailOf(bound)?.mark.includes(mark) === true
}

function tailOf(bound: string): { readonly mark: string; readonly tag: string } | undefined {
  if (bound.length > boundCharsMax) return undefined
  const { mark, tag } = tailShape.exec(bound.slice(bound.lastIndexOf('.') + 1))?.groups ?? {}
  return mark === undefined || tag === undefined ? undefined : { mark, tag }
}

function describe(
  { principal, serverId, connectionId }: SessionOwner,
  id: string,
  mark: string,
): string {
  const { tenant, user, clientId } = principal
  const caller = user === undefined ? ['client', clientId] : ['user', user.id]
  const marks = mark === '' ? [] : [mark]
  return JSON.stringify([tenant.id, serverId, ...caller, connectionId ?? null, id, ...marks])
}
