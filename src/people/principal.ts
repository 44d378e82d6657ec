// A verified caller. Only the places that verify a session, an API key or an access token make one, so whatever takes a
// Principal cannot run before verification (S4-2): the brand below cannot be written by hand.
import { Fault } from '../base/fault.ts'
import type { Actor } from '../journal/entries.ts'
import { isDefault } from './tenants.ts'
import type { Tenant } from './tenants.ts'
import type { User } from './users.ts'

declare const verified: unique symbol

/**
 * One request has one principal: a person in a browser, an API key, or a client with an access token. A command has the
 * operator at the machine, and an app that embeds us names its own users.
 */
export type Principal =
  | SessionPrincipal
  | KeyPrincipal
  | TokenPrincipal
  | OperatorPrincipal
  | AppPrincipal

export interface SessionPrincipal extends Caller {
  readonly kind: 'session'
  readonly user: User
  /** The keyed digest of the session cookie; form tokens are bound to it. */
  readonly sessionDigest: string
  /** What the person's provider gave with the sign-in; absent for a password of ours. */
  readonly providerGrantId?: string | undefined
}

export interface KeyPrincipal extends Caller {
  readonly kind: 'key'
  readonly user: User
  readonly keyId: string
  readonly scopes: readonly string[]
}

export interface TokenPrincipal extends Caller {
  readonly kind: 'token'
  /** Absent for a client that acts for itself. */
  readonly user: User | undefined
  readonly clientId: string
  readonly grantId: string
  /** What the person's provider gave with the sign-in on which the grant hangs. */
  readonly providerGrantId?: string | undefined
  readonly scopes: readonly string[]
  /** The audience of the token (RFC 8707). */
  readonly resource: string
  /** The attempt to connect that this caller is still in; undefined once a call of theirs was answered. */
  readonly attempt?: string | undefined
}

export interface OperatorPrincipal extends Caller {
  readonly kind: 'operator'
  /** The person for whom something is tried out. */
  readonly user: User | undefined
}

/** A user of an app that embeds us; the app has verified them. */
export interface AppPrincipal extends Caller {
  readonly kind: 'app'
  readonly user: User
}

interface Caller {
  readonly [verified]: true
  readonly tenant: Tenant
}

type Facts<P extends Principal> = Omit<P, typeof verified>

/** Marks facts as verified; to be called by the code that has just verified them and by nothing else. */
export function verifiedPrincipal<P extends Principal>(facts: Facts<P>): P {
  return facts as P // the brand exists for the compiler only
}

/** Who runs a command here has the key and the database in hand, which is more than any sign-in could prove. */
export function operatorAtTheMachine(tenant: Tenant, user?: User): OperatorPrincipal {
  return verifiedPrincipal<OperatorPrincipal>({ kind: 'operator', tenant, user })
}

/** May this caller manage the tenant's servers, clients and people? */
export function isAdmin(principal: Principal): boolean {
  if (principal.kind === 'operator') return true
  return principal.user !== undefined && principal.user.role !== 'user'
}

/** Throws Fault('forbidden') for whoever may not. */
export function requireOperator(principal: Principal): void {
  if (isOperator(principal)) return
  throw new Fault('forbidden', { because: 'the caller is not an operator' })
}

/** Who did it, for the journal. */
export function actorOf(principal: Principal): Actor {
  if (principal.kind === 'session' || principal.kind === 'app') {
    return { kind: 'user', id: principal.user.id }
  }
  if (principal.kind === 'key') return { kind: 'key', id: principal.keyId }
  if (principal.kind === 'operator') return { kind: 'operator' }
  return { kind: 'client', id: principal.clientId }
}

/** Throws Fault('forbidden') for whoever may not. */
export function requireAdmin(principal: Principal): void {
  if (isAdmin(principal)) return
  throw new Fault('forbidden', { because: 'the caller is not an admin of this tenant' })
}

/** May this caller manage the installation? Operators live in the default tenant only, whatever a row elsewhere says. */
export function isOperator(principal: Principal): boolean {
  if (!isDefault(principal.tenant)) return false
  return principal.kind === 'operator' || principal.user?.role === 'operator'
}
