// The table of findings, row by row: the entries that show each, and the moment from which silence is one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnose } from './diagnosis.ts'
import { findings, personWaitMs, programWaitMs, slowAnswerMs } from './findings.ts'
import type { StoryEntry } from './story.ts'

type Facts = StoryEntry['data']

let at = 0
const entry = (type: StoryEntry['type'], data: Facts = {}): StoryEntry => ({ type, at, data })
const refusal = (type: StoryEntry['type'], error: string, because = '', more: Facts = {}) =>
  entry(type, { error, because, ...more })

const challenged = entry('call.refused', { reason: 'authentication_required', status: 401 })
const document = '/.well-known/oauth-authorization-server'
const found = entry('discovery.answered', { document, status: 200 })
const missing = entry('discovery.answered', { document: `${document}/notes/mcp`, status: 404 })
const registered = entry('client.registered')
const started = entry('authorization.started')
const granted = entry('grant.created')
const issued = entry('token.issued')
const called = entry('call.completed', { status: 200 })
const upTo = {
  registered: [challenged, found, registered],
  started: [challenged, found, registered, started],
  granted: [challenged, found, registered, started, granted],
  issued: [challenged, found, registered, started, granted, issued],
  called: [challenged, found, registered, started, granted, issued, called],
}

/** What each code is shown by; told at once unless it takes silence. */
const rows: Readonly<Record<string, { entries: readonly StoryEntry[]; afterMs?: number }>> = {
  too_many_requests: {
    entries: [...upTo.granted, refusal('token.refused', 'too_many_requests')],
  },
  redirect_uri_not_registered: {
    entries: [...upTo.registered, refusal('authorization.refused', 'invalid_redirect_uri')],
  },
  redirect_uris_missing: {
    entries: [
      found,
      refusal(
        'client.registration_refused',
        'invalid_redirect_uri',
        'redirect_uris is not a list of 1 to 10 strings',
      ),
    ],
  },
  redirect_uri_refused: {
    entries: [found, refusal('client.registration_refused', 'invalid_redirect_uri')],
  },
  registration_refused: {
    entries: [found, refusal('client.registration_refused', 'invalid_client_metadata')],
  },
  client_unknown: {
    entries: [refusal('authorization.refused', 'invalid_client', 'there is no such client')],
  },
  client_document_refused: {
    entries: [refusal('authorization.refused', 'invalid_client', 'the document’s status is 404')],
  },
  client_disabled: {
    entries: [refusal('token.refused', 'invalid_client', 'the client is disabled')],
  },
  pkce_missing: {
    entries: [
      refusal(
        'authorization.refused',
        'invalid_request',
        'a code_challenge with method S256 is required',
      ),
    ],
  },
  person_needed: { entries: [entry('call.refused', { reason: 'person_needed', status: 403 })] },
  scope_unknown: { entries: [refusal('authorization.refused', 'invalid_scope')] },
  resource_mismatch: {
    entries: [
      ...upTo.issued,
      entry('call.refused', {
        reason: 'invalid_token',
        because: 'the token is for another resource',
      }),
    ],
  },
  authorize_request_bad: {
    entries: [refusal('authorization.refused', 'unsupported_response_type')],
  },
  consent_denied: { entries: [...upTo.started, refusal('consent.denied', 'access_denied')] },
  server_closed: {
    entries: [...upTo.started, refusal('authorization.failed', 'server_forbidden')],
  },
  authorization_failed: {
    entries: [...upTo.started, refusal('authorization.failed', 'login_required')],
  },
  none_not_accepted: {
    entries: [
      ...upTo.granted,
      refusal('token.refused', 'invalid_client', 'the client is not registered for none'),
    ],
  },
  client_secret_wrong: {
    entries: [...upTo.granted, refusal('token.refused', 'invalid_client', 'the secret is wrong')],
  },
  refresh_refused: {
    entries: [
      ...upTo.called,
      refusal('token.refused', 'invalid_grant', 'what was presented was used before', {
        grantType: 'refresh_token',
      }),
    ],
  },
  code_expired: {
    entries: [...upTo.granted, refusal('token.refused', 'invalid_grant', 'the code has expired')],
  },
  code_used_twice: {
    entries: [
      ...upTo.granted,
      refusal('token.refused', 'invalid_grant', 'the code was used before'),
    ],
  },
  verifier_wrong: {
    entries: [
      ...upTo.granted,
      refusal('token.refused', 'invalid_grant', 'the code verifier is missing or wrong'),
    ],
  },
  token_refused: { entries: [...upTo.granted, refusal('token.refused', 'invalid_request')] },
  not_connected_upstream: {
    entries: [...upTo.issued, entry('call.refused', { reason: 'authorization_required' })],
  },
  scope_insufficient: {
    entries: [...upTo.issued, entry('call.refused', { reason: 'insufficient_scope' })],
  },
  token_rejected: {
    entries: [...upTo.issued, entry('call.refused', { reason: 'invalid_token' })],
  },
  call_refused: {
    entries: [...upTo.issued, entry('call.refused', { reason: 'server_unreachable' })],
  },
  metadata_not_found: { entries: [challenged, missing], afterMs: programWaitMs },
  server_answered_with_error: {
    entries: [...upTo.issued, entry('call.completed', { status: 500 })],
  },
  token_never_used: { entries: upTo.issued, afterMs: programWaitMs },
  code_never_redeemed: { entries: upTo.granted, afterMs: programWaitMs },
  authorize_not_finished: { entries: upTo.started, afterMs: personWaitMs },
  registered_then_silent: { entries: upTo.registered, afterMs: programWaitMs },
  discovered_then_silent: { entries: [challenged, missing, found], afterMs: programWaitMs },
  challenged_then_silent: { entries: [challenged], afterMs: programWaitMs },
}

for (const [code, { entries, afterMs }] of Object.entries(rows)) {
  void test(`${code}: it is the first thing told`, () => {
    const told = diagnose(entries, at + (afterMs ?? 0))
    assert.equal(told.findings[0]?.code, code)
    assert.equal(told.outcome, entries.includes(called) ? 'broken' : 'failed')
    assert.equal(told.summary, told.findings[0]?.happened)
    if (afterMs === undefined) return
    const before = diagnose(entries, at + afterMs - 1)
    assert.deepEqual([before.outcome, before.findings], ['waiting', []])
  })
}

test('every finding has a row here, and says what happened and what to do', () => {
  const asides = ['issuer_slash', 'slow_answer']
  const codes = findings.map(({ code }) => code)
  assert.deepEqual(codes.toSorted(), [...Object.keys(rows), ...asides].toSorted())
  assert.equal(new Set(codes).size, codes.length)
  for (const { happened, next } of findings) {
    assert.match(happened, /^[A-Z].*\.$/)
    assert.match(next, /^[A-Z].*\.$/)
  }
})

test('what is worth knowing is told beside, and keeps nobody from being connected', () => {
  const slash = entry('discovery.answered', { document: `${document}/`, status: 404 })
  const slow = (durationMs: number) => entry('token.issued', { durationMs })
  const codesOf = (entries: readonly StoryEntry[]) => {
    const { outcome, findings: told } = diagnose(entries, at)
    return [outcome, ...told.map(({ code }) => code)]
  }

  assert.deepEqual(codesOf(upTo.called), ['connected'])
  assert.deepEqual(codesOf([slash, ...upTo.called]), ['connected', 'issuer_slash'])
  assert.deepEqual(codesOf([...upTo.granted, slow(slowAnswerMs), called]), [
    'connected',
    'slow_answer',
  ])
  assert.deepEqual(codesOf([...upTo.granted, slow(slowAnswerMs - 1), called]), ['connected'])
})

test('a refusal that was made good is not told', () => {
  const early = refusal('token.refused', 'invalid_grant', 'the code verifier is missing or wrong')
  const said = refusal('authorization.refused', 'invalid_scope')
  assert.equal(
    diagnose([...upTo.registered, said, ...upTo.granted, early, issued, called], at).outcome,
    'connected',
  )
  // A step before it makes nothing good.
  assert.equal(diagnose([...upTo.granted, early, found], at).findings[0]?.code, 'verifier_wrong')
})

test('of one refusal only the most telling row is told, with what was written down', () => {
  at = 7
  const because = 'the client has not registered it'
  const refused = refusal('authorization.refused', 'invalid_redirect_uri', because)
  const { findings: told } = diagnose([refused], 8)
  at = 0
  assert.deepEqual(
    told.map((each) => [each.code, each.at, each.because]),
    [['redirect_uri_not_registered', 7, because]],
  )
})
