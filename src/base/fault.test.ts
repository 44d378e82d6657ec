import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault, faultCatalogue, isFault } from './fault.ts'
import type { FaultCode } from './fault.ts'

const entries = Object.entries(faultCatalogue)

test('every refusal has a status, and words that are whole sentences without a code in them', () => {
  for (const [code, { status, words }] of entries) {
    assert.ok(status >= 400 && status < 600, code)
    assert.match(words, /^[A-Z].{8,150}\.$/, code)
    assert.doesNotMatch(words, /_|\bnull\b|undefined|[45]\d\d/, code)
  }
})

// RFC 6749 §4.1.2.1 and §5.2, RFC 6750 §3.1, RFC 7591 §3.2.2, RFC 8707 §2, RFC 8628 §3.5, RFC 9449 §12.2, OIDC Core §3.1.2.6.
const standardCodes = new Set<string>([
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'unsupported_response_type',
  'invalid_scope',
  'invalid_target',
  'access_denied',
  'login_required',
  'consent_required',
  'request_not_supported',
  'request_uri_not_supported',
  'server_error',
  'temporarily_unavailable',
  'invalid_token',
  'insufficient_scope',
  'invalid_redirect_uri',
  'invalid_client_metadata',
  'authorization_pending',
  'slow_down',
  'expired_token',
  'invalid_dpop_proof',
  'use_dpop_nonce',
])

test('an OAuth surface only ever says codes of a standard', () => {
  for (const [code, { oauth }] of entries) assert.ok(standardCodes.has(oauth ?? code), code)
  for (const code of standardCodes) assert.ok(Object.hasOwn(faultCatalogue, code), code)
})

// The table of user messages in the requirements; what our own server says under the same codes is in other words.
const table: readonly (readonly [FaultCode, string, boolean, boolean])[] = [
  [
    'access_denied',
    'Access was denied by the authorization server. Contact your administrator if you believe this is an error.',
    true,
    true,
  ],
  [
    'client_configuration',
    'Connection configuration error. Please contact your administrator.',
    false,
    false,
  ],
  [
    'invalid_scope',
    'The requested permissions are not available. Contact your administrator to adjust the configuration.',
    false,
    false,
  ],
  [
    'server_error',
    'The authorization server is temporarily unavailable. Please try again later.',
    true,
    false,
  ],
  [
    'refresh_token_rejected',
    'Your session has expired. Please reconnect to continue.',
    false,
    true,
  ],
  ['authorization_timeout', 'Authorization timed out. Please try connecting again.', true, true],
  ['flow_expired', 'Authorization timed out. Please try connecting again.', true, true],
  [
    'registration_failed',
    'Automatic registration failed. Your administrator may need to configure this connection manually.',
    false,
    false,
  ],
  [
    'registration_not_supported',
    'This server requires manual client registration. Contact your administrator.',
    false,
    false,
  ],
  [
    'network_error',
    'Could not reach the authorization server. Check your network connection.',
    true,
    false,
  ],
  ['timeout', 'The authorization server took too long to respond. Please try again.', true, false],
  [
    'metadata_discovery_failed',
    'Could not connect to the authorization server. The server configuration may be incorrect.',
    true,
    false,
  ],
  ['state_mismatch', 'Authorization verification failed. Please try connecting again.', true, true],
  [
    'pkce_verification_failed',
    'Authorization verification failed. Please try connecting again.',
    true,
    true,
  ],
  [
    'internal',
    'An unexpected error occurred. Please try again or contact your administrator.',
    true,
    false,
  ],
]

for (const [code, words, retryable, reauthorize] of table) {
  test(`${code} speaks to people in the agreed words`, () => {
    const entry = faultCatalogue[code]
    assert.deepEqual(
      [entry.words, entry.retryable, entry.reauthorize],
      [words, retryable, reauthorize],
    )
  })
}

test('a fault shows the words and keeps the reason apart', () => {
  const cause = new Error('deep')
  const detail = { name: 'is too long' }
  const fault = new Fault('conflict', { because: 'taken', cause, retryAfterS: 3, detail })
  assert.equal(fault.message, faultCatalogue.conflict.words)
  assert.deepEqual(
    [fault.code, fault.because, fault.cause, fault.retryAfterS, fault.detail],
    ['conflict', 'taken', cause, 3, detail],
  )
  assert.ok(isFault(fault) && fault instanceof Error)
  assert.ok(!isFault(cause) && !isFault(undefined))
})

test('a fault without a wait or details has none', () => {
  const fault = new Fault('gone', { because: 'spent' })
  assert.deepEqual(
    [fault.cause, fault.retryAfterS, fault.detail],
    [undefined, undefined, undefined],
  )
})
