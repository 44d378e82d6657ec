// The one catalogue of refusals: what each means to machines (status, code) and to people (words). `because` is for the
// log and the journal; it leaves only where whoever throws says that it is about nothing but what the caller sent.

interface Entry {
  readonly status: number
  /** Trying the same again later may help. */
  readonly retryable: boolean
  /** The person has to sign in again. */
  readonly reauthorize: boolean
  /** What happened and what to do next, for people. */
  readonly words: string
  /** The error code on an OAuth surface, where it is another. */
  readonly oauth?: string
}

const no = { retryable: false, reauthorize: false } as const
const retry = { retryable: true, reauthorize: false } as const
const signIn = { retryable: false, reauthorize: true } as const
const both = { retryable: true, reauthorize: true } as const

const unavailable = 'The authorization server is temporarily unavailable. Please try again later.'
const configuration = 'Connection configuration error. Please contact your administrator.'
const registration =
  'Automatic registration failed. Your administrator may need to configure this connection manually.'
const verification = 'Authorization verification failed. Please try connecting again.'
const timedOut = 'Authorization timed out. Please try connecting again.'

const catalogue = {
  // RFC 6749, RFC 8707, RFC 7591, OpenID Connect: what our own authorization server answers.
  invalid_request: {
    status: 400,
    ...no,
    words:
      'The request is missing something or has something twice. Start again from the program that sent you here.',
  },
  invalid_client: {
    status: 401,
    ...no,
    words: 'This program is not known here, or could not prove who it is.',
  },
  invalid_grant: {
    status: 400,
    ...signIn,
    words: 'This code or token is not valid any more. Sign in again.',
  },
  unauthorized_client: { status: 400, ...no, words: 'This program may not do that here.' },
  unsupported_grant_type: {
    status: 400,
    ...no,
    words: 'This way of getting a token is not supported here.',
  },
  unsupported_response_type: {
    status: 400,
    ...no,
    words: 'Only the authorization code flow is supported here.',
  },
  invalid_scope: {
    status: 400,
    ...no,
    words:
      'The requested permissions are not available. Contact your administrator to adjust the configuration.',
  },
  invalid_target: { status: 400, ...no, words: 'There is no such server here.' },
  access_denied: {
    status: 403,
    ...both,
    words:
      'Access was denied by the authorization server. Contact your administrator if you believe this is an error.',
  },
  login_required: { status: 401, ...signIn, words: 'Nobody is signed in.' },
  consent_required: { status: 403, ...signIn, words: 'You have not let this program in yet.' },
  request_not_supported: { status: 400, ...no, words: 'Request objects are not supported here.' },
  request_uri_not_supported: {
    status: 400,
    ...no,
    words: 'Requests by reference are not supported here.',
  },
  server_error: { status: 500, ...retry, words: unavailable },
  temporarily_unavailable: {
    status: 503,
    ...retry,
    words: 'This is busy at the moment. Please try again shortly.',
  },
  invalid_token: { status: 401, ...signIn, words: 'This token is not valid here. Sign in again.' },
  // RFC 9449 §5 and §8; where a token is presented both are answered with 401 (§7.1, §9).
  invalid_dpop_proof: {
    status: 400,
    ...no,
    words: 'This program could not prove that it holds the key of its token.',
  },
  use_dpop_nonce: {
    status: 400,
    ...retry,
    words: 'This program has to prove that it holds its key with the nonce of this answer.',
  },
  insufficient_scope: {
    status: 403,
    ...signIn,
    words: 'This needs a permission that was not given.',
  },
  invalid_redirect_uri: {
    status: 400,
    ...no,
    words: 'This address cannot be used to send people back to.',
  },
  invalid_client_metadata: {
    status: 400,
    ...no,
    words: 'The registration has something that cannot be accepted.',
  },

  // RFC 8628 §3.5: what a device is told while a person has not decided yet, or has said no.
  authorization_pending: {
    status: 400,
    ...retry,
    words: 'Nobody has let this device in yet. Ask again after the interval.',
  },
  slow_down: {
    status: 400,
    ...retry,
    words: 'This device asks too often. Wait five seconds longer between two requests.',
  },
  expired_token: {
    status: 400,
    ...signIn,
    words: 'The code of this device is too old. Start again on the device.',
  },
  device_denied: {
    status: 400,
    ...both,
    words: 'The person did not let this device in.',
    oauth: 'access_denied',
  },

  // What any door may answer.
  not_found: {
    status: 404,
    ...no,
    words: 'There is nothing here under this address.',
    oauth: 'invalid_request',
  },
  not_signed_in: { status: 401, ...signIn, words: 'Sign in first.', oauth: 'login_required' },
  forbidden: { status: 403, ...no, words: 'You may not do this.', oauth: 'access_denied' },
  bad_form: {
    status: 403,
    ...retry,
    words:
      'This form was opened in another browser or is too old. Go back, reload the page and try again.',
    oauth: 'access_denied',
  },
  method_not_allowed: {
    status: 405,
    ...no,
    words: 'This address does not take this kind of request.',
    oauth: 'invalid_request',
  },
  not_acceptable: {
    status: 406,
    ...no,
    words: 'The answer cannot be given in a form that the request accepts.',
    oauth: 'invalid_request',
  },
  conflict: { status: 409, ...no, words: 'This is taken already.', oauth: 'invalid_request' },
  gone: {
    status: 410,
    ...no,
    words: 'This link was used already or is too old. Ask for a new one.',
    oauth: 'invalid_request',
  },
  payload_too_large: { status: 413, ...no, words: 'This is too large.', oauth: 'invalid_request' },
  unsupported_media_type: {
    status: 415,
    ...no,
    words: 'The request has the wrong content type.',
    oauth: 'invalid_request',
  },
  misdirected_request: {
    status: 421,
    ...no,
    words: 'This address is not served here.',
    oauth: 'invalid_request',
  },
  invalid_input: {
    status: 422,
    ...no,
    words: 'Something in this request cannot be used.',
    oauth: 'invalid_request',
  },
  too_many_requests: {
    status: 429,
    ...retry,
    words: 'Too many requests. Please wait a moment.',
    oauth: 'temporarily_unavailable',
  },
  idempotency_mismatch: {
    status: 422,
    ...no,
    words: 'This Idempotency-Key was used for another request.',
    oauth: 'invalid_request',
  },
  idempotency_in_flight: {
    status: 409,
    ...retry,
    words: 'The first request with this Idempotency-Key is still running.',
    oauth: 'temporarily_unavailable',
  },
  internal: {
    status: 500,
    ...retry,
    words: 'An unexpected error occurred. Please try again or contact your administrator.',
    oauth: 'server_error',
  },
  decrypt_failed: {
    status: 500,
    ...signIn,
    words: 'A stored credential cannot be read. Please connect again.',
    oauth: 'server_error',
  },

  server_forbidden: {
    status: 403,
    ...no,
    words: 'You may not use this server. An administrator can let you.',
    oauth: 'access_denied',
  },

  connection_unknown: {
    status: 422,
    ...no,
    words:
      'You have no connection of this name to this server. Your connections page has their names; without a name the one that works is used.',
    oauth: 'invalid_request',
  },

  // Us as somebody else's client.
  resource_mismatch: {
    status: 422,
    ...no,
    words:
      'The server describes itself under another address, so signing in there would not be safe. Contact its operator.',
    oauth: 'server_error',
  },
  issuer_mismatch: {
    status: 422,
    ...no,
    words:
      'The authorization server names itself differently than its address, so signing in there would not be safe. Contact its operator.',
    oauth: 'server_error',
  },
  pkce_unsupported: {
    status: 422,
    ...no,
    words:
      'The authorization server does not support PKCE with S256, which MCP requires. Contact its operator.',
    oauth: 'server_error',
  },
  insecure_endpoint: {
    status: 422,
    ...no,
    words: 'Only https addresses can be used here.',
    oauth: 'server_error',
  },
  discovery_blocked: {
    status: 422,
    ...no,
    words: 'This address cannot be reached from here.',
    oauth: 'server_error',
  },
  name_unresolved: {
    status: 422,
    ...retry,
    words: 'The name in this address is not known, or DNS does not answer. Check how it is spelt.',
    oauth: 'server_error',
  },
  metadata_discovery_failed: {
    status: 422,
    ...retry,
    words:
      'Could not connect to the authorization server. The server configuration may be incorrect.',
    oauth: 'server_error',
  },
  registration_not_supported: {
    status: 422,
    ...no,
    words: 'This server requires manual client registration. Contact your administrator.',
    oauth: 'server_error',
  },
  registration_failed: { status: 422, ...no, words: registration, oauth: 'server_error' },
  provider_unreachable: {
    status: 502,
    ...retry,
    words: unavailable,
    oauth: 'temporarily_unavailable',
  },
  server_unreachable: {
    status: 502,
    ...retry,
    words: 'The server cannot be reached at the moment. Please try again later.',
    oauth: 'temporarily_unavailable',
  },
  upstream_timeout: {
    status: 504,
    ...retry,
    words: 'The server took too long to respond. Please try again.',
    oauth: 'temporarily_unavailable',
  },
  refresh_token_rejected: {
    status: 409,
    ...signIn,
    words: 'Your session has expired. Please reconnect to continue.',
    oauth: 'login_required',
  },
  reauthorization_required: {
    status: 409,
    ...signIn,
    words: 'Your session has expired. Please reconnect to continue.',
    oauth: 'login_required',
  },
  authorization_required: {
    status: 409,
    ...signIn,
    words: 'You are not connected to this server yet. Please sign in.',
    oauth: 'login_required',
  },
  token_bound: {
    status: 409,
    ...no,
    words: 'This token only works with a key that stays here. Call the server through Latchkey.',
    oauth: 'invalid_request',
  },
  client_lost: {
    status: 409,
    ...signIn,
    words: 'The authorization server does not know us any more. Please connect again.',
    oauth: 'login_required',
  },
  client_configuration: { status: 422, ...no, words: configuration, oauth: 'server_error' },
  state_mismatch: { status: 400, ...both, words: verification, oauth: 'access_denied' },
  pkce_verification_failed: { status: 400, ...both, words: verification, oauth: 'access_denied' },
  flow_expired: { status: 400, ...both, words: timedOut, oauth: 'access_denied' },
  authorization_timeout: { status: 400, ...both, words: timedOut, oauth: 'access_denied' },
  token_response_invalid: {
    status: 502,
    ...retry,
    words: 'The authorization server gave an answer that cannot be used. Please try again later.',
    oauth: 'server_error',
  },
  network_error: {
    status: 502,
    ...retry,
    words: 'Could not reach the authorization server. Check your network connection.',
    oauth: 'temporarily_unavailable',
  },
  timeout: {
    status: 504,
    ...retry,
    words: 'The authorization server took too long to respond. Please try again.',
    oauth: 'temporarily_unavailable',
  },
} as const satisfies Record<string, Entry>

/** A code of the catalogue. */
export type FaultCode = keyof typeof catalogue

/** Status, words and what a caller may do, by code. */
export const faultCatalogue: Readonly<Record<FaultCode, Entry>> = catalogue

export interface FaultDetails {
  /** For the log and the journal: what we know, without a secret. */
  readonly because: string
  /** The caller may read it too: it is about nothing but what they sent, and tells of nobody and nothing else here. */
  readonly isForCaller?: true | undefined
  readonly cause?: unknown
  /** Whole seconds until trying again makes sense. */
  readonly retryAfterS?: number
  /** Nothing of a request left here: it may be sent again, whatever was in it. */
  readonly isUnsent?: true | undefined
  /** What the next DPoP proof should carry (RFC 9449 §8). */
  readonly dpopNonce?: string
  /** Our page where the person signs in again. */
  readonly reauthUrl?: string
  /** Per field, what is wrong with it, in words for the caller. */
  readonly detail?: Readonly<Record<string, string>>
}

/** A refusal. */
export class Fault extends Error {
  readonly code: FaultCode
  readonly because: string
  readonly isForCaller?: true
  readonly retryAfterS?: number
  readonly isUnsent?: true
  readonly dpopNonce?: string
  readonly reauthUrl?: string
  readonly detail?: Readonly<Record<string, string>>

  constructor(code: FaultCode, details: FaultDetails) {
    const { because, isForCaller, cause, retryAfterS, isUnsent, dpopNonce, reauthUrl, detail } =
      details
    super(faultCatalogue[code].words, cause === undefined ? {} : { cause })
    this.name = 'Fault'
    this.code = code
    this.because = because
    if (isForCaller !== undefined) this.isForCaller = isForCaller
    if (retryAfterS !== undefined) this.retryAfterS = retryAfterS
    if (isUnsent !== undefined) this.isUnsent = isUnsent
    if (dpopNonce !== undefined) this.dpopNonce = dpopNonce
    if (reauthUrl !== undefined) this.reauthUrl = reauthUrl
    if (detail !== undefined) this.detail = detail
  }
}

/** A refusal of something in the request itself, whose reason the caller may read. */
export function callersFault(code: FaultCode, because: string): Fault {
  return new Fault(code, { because, isForCaller: true })
}

/** The words of a refusal, with the reason where the caller may read it. */
export function describeFault({ code, because, isForCaller }: Fault): string {
  const { words } = faultCatalogue[code]
  return isForCaller === true ? `${words} (${because})` : words
}

/** Is this one of our refusals? */
export function isFault(thrown: unknown): thrown is Fault {
  return thrown instanceof Fault
}
