// What a grant type is to the token endpoint: it finds what is presented and spends it. Client, scope, resource, tokens
// and journal are the endpoint's own phases, so that no grant type can forget one.
import type { Parameters } from '../../oauth/parameters.ts'
import type { Tenant } from '../../people/tenants.ts'
import type { Database } from '../../store/database.ts'
import type { Client } from '../clients.ts'
import type { Grant, MisuseReason } from '../grants.ts'
import type { TokenAnswer, TokenOrigin } from '../tokens.ts'

export interface GrantType {
  /** Finds what is presented and checks it; spends nothing. Throws Fault('invalid_grant'). */
  readonly find: (request: GrantRequest) => Promise<Presented>
}

/** One authenticated request to the token endpoint. */
export interface GrantRequest {
  readonly tenant: Tenant
  readonly client: Client
  readonly parameters: Parameters
  /** The values of `resource` (RFC 8707 §2). */
  readonly resources: readonly string[]
  /** The thumbprint of the key that the client proved to hold (RFC 9449 §5); undefined for a Bearer client. */
  readonly jkt: string | undefined
}

/** What a client presented, found and checked but not yet spent. */
export interface Presented {
  readonly grant: Grant
  /** The generation of the refresh token that answers it. */
  readonly generation: number
  /** For a sign-in that just happened: what its ID token gives back (OIDC Core §3.1.3.3). */
  readonly signIn?: { readonly nonce: string | undefined }
  /** Joins the journal's entry to those before it. */
  readonly attempt?: string
  /** The grant was there before: asking for more of it is a use, where the first token is only its making. */
  readonly isGivenAgain?: boolean
  /** What a request gets that names no scope; all that the grant holds unless said. */
  readonly usualScopes?: readonly string[]
  /** Set where the next token has to be asked for in the same way again. */
  readonly hasNoRefreshToken?: true
  /** What it is made from by an exchange (RFC 8693). */
  readonly origin?: TokenOrigin
  /** Spends it inside the transaction that stores the answer's tokens. */
  readonly spend: (tx: Database, answer: TokenAnswer) => Promise<Spending>
}

export type Spending =
  /** This call spent it: the tokens of the answer are stored. */
  | { readonly kind: 'spent' }
  /** It was spent a moment ago and the same answer goes out again. */
  | { readonly kind: 'repeated'; readonly answer: TokenAnswer }
  | { readonly kind: 'expired' }
  /** It was spent before by somebody: the grant must end. */
  | { readonly kind: 'misused'; readonly reason: MisuseReason }
