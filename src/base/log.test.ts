import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { Fault } from './fault.ts'
import { createLog, scrub, silentLog } from './log.ts'
import type { Log } from './log.ts'
import { randomSecret, systemRandom } from './random.ts'
import { Secret } from './secret.ts'

const canary = 'canary4711canary4711canary4711'

function record(use: (log: Log) => void, level = 'debug'): string[] {
  const lines: string[] = []
  use(createLog(level, (line) => void lines.push(line)))
  return lines
}

const names = [
  'authorization',
  'Authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'code',
  'state',
  'token',
  'accessToken',
  'access_token',
  'refresh_token',
  'id_token',
  'secret',
  'clientSecret',
  'client_secret',
  'password',
  'newPassword',
  'assertion',
  'client_assertion',
  'verifier',
  'code_verifier',
  'codeVerifier',
  'device_code',
  'user_code',
  'apiKey',
  'x-api-key',
  'location',
  'headers',
  'rawHeaders',
  'body',
  'credential',
  'tokens',
  'cookies',
  'secrets',
  'session',
  'sessionId',
  'masterKey',
  'private_key',
  'signing-key',
]

for (const name of names) {
  test(`a field "${name}" is redacted at every depth`, (t) => {
    verifies(t, 'X-31')
    const lines = record((log) => {
      log.info({ [name]: canary }, 'flat')
      log.warn({ a: [{ b: { [name]: canary } }] }, 'deep')
      log.error({ [name]: { inner: canary } }, 'an object')
      log.error({ [name]: [canary] }, 'a list')
      log.child({ [name]: canary }).info({}, 'bound')
    })
    assert.equal(lines.length, 5)
    assert.doesNotMatch(lines.join(''), /canary/)
  })
}

const tokens = [
  ...['mcp_at_', 'mcp_rt_', 'auth_', 'mcp_dc_', 'mcp_cs_', 'mcp_reg_', 'lk_'].map((prefix) =>
    randomSecret(systemRandom, prefix).reveal(),
  ),
  `Bearer ${canary}`,
  `Basic ${Buffer.from(canary).toString('base64')}`,
  `DPoP ${canary}`,
  `eyJhbGciOiJFUzI1NiJ9.${canary}.${canary}`,
  `eyJhbGciOiJkaXIifQ.x.${canary}.${canary}.${canary}`,
]

for (const token of tokens) {
  test(`what looks like ${token.slice(0, 8)} is redacted wherever it stands`, (t) => {
    verifies(t, 'X-31')
    const surroundings = [
      token,
      `"${token}"`,
      `<${token}>`,
      `(${token})`,
      `x:\n${token}\nnext`,
      `\t${token}`,
    ]
    const lines = record((log) => {
      for (const text of surroundings) {
        log.info({ harmless: text }, 'a field')
        log.info({}, `in a message: ${text}`)
        log.info({ [text]: 1 }, 'a name')
        log.error({ error: new Error(text, { cause: new TypeError(text) }) }, 'an error')
      }
      log.child({ harmless: token }).info({}, 'bound')
    })
    const kept = token.slice(token.indexOf('_') + 1).slice(8)
    assert.ok(!lines.join('').includes(kept), lines.join(''))
  })
}

const texts = [
  `https://hub.example/callback?code=${canary}&state=${canary}`,
  `/connect?link=${canary}`,
  `grant_type=authorization_code&code=${canary}&code_verifier=${canary}`,
  `code=${canary}`,
  `first line\ncode=${canary}`,
  `{"access_token":"${canary}","n":1}`,
  JSON.stringify({ inner: JSON.stringify({ refresh_token: canary }) }),
  `GET / HTTP/1.1\r\nCookie: session=${canary}; other=${canary}\r\nHost: x`,
  `authorization: Custom ${canary}`,
  `https://hub.example/callback?x=%22mcp_at_${canary}`,
  `https://app.example/#access_token=${canary}&state=${canary}`,
  `see (code=${canary}), state=${canary}`,
  `https://someone:${canary}@host.example/x`,
  `postgres://latchkey:${canary}@127.0.0.1:5432/latchkey`,
]

for (const text of texts) {
  test(`a secret inside a text is redacted: ${JSON.stringify(text.slice(0, 30))}`, (t) => {
    verifies(t, 'X-31')
    const lines = record((log) => {
      log.info({ text, list: [text] }, text)
      log.error({ cause: new Error(text) }, 'an error')
    })
    assert.equal(lines.length, 2)
    assert.doesNotMatch(lines.join(''), /canary/)
    for (const line of lines) JSON.parse(line)
  })
}

test('a request and its headers never show, whatever they are called', (t) => {
  verifies(t, 'X-31')
  const headers = new Headers({ authorization: `Odd ${canary}`, 'x-custom': canary })
  const lines = record((log) => {
    log.info({ request: { headers: { 'x-custom': canary }, rawHeaders: ['x', canary] } }, 'plain')
    log.info({ h: headers, map: new Map([['a', canary]]), bytes: Buffer.from(canary) }, 'objects')
    log.info({ search: new URLSearchParams({ a: canary }), secret: new Secret(canary) }, 'more')
    log.info({ harmless: new Secret(canary) }, 'a secret')
    const error = Object.assign(new Error('failed'), { request: { data: canary }, code: canary })
    log.error({ error }, 'what a library adds to its error')
  })
  assert.equal(lines.length, 5)
  assert.doesNotMatch(lines.join(''), /canary/)
})

test('what is no secret stays readable', () => {
  const facts = {
    path: '/token',
    status: 400,
    code: 'invalid_grant',
    because: 'the code was spent by client mcp_oauth_1 with client_secret_basic',
    token_endpoint_auth_methods_supported: ['none'],
    at: new Date(0),
    big: 10n,
    hasToken: false,
    ids: ['usr_1', null],
  }
  const [line = ''] = record((log) => log.child({ room: 'issuer' }).info(facts, 'a refusal'))
  const { time, ...parsed } = JSON.parse(line) as Record<string, unknown> // a line is an object
  assert.match(String(time), /^\d{4}-/)
  assert.deepEqual(parsed, {
    level: 30,
    room: 'issuer',
    ...facts,
    at: '1970-01-01T00:00:00.000Z',
    big: '10',
    msg: 'a refusal',
  })
})

test('an error shows its name, code, text, stack and cause', () => {
  const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
  const error = new Fault('network_error', { because: 'x', cause })
  const [line = ''] = record((log) => log.error({ error }, 'failed'))
  const parsed = JSON.parse(line) as { error: Record<string, unknown> & { cause: unknown } } // as logged
  assert.equal(parsed.error['name'], 'Fault')
  assert.equal(parsed.error['code'], 'network_error')
  assert.match(String(parsed.error['stack']), /log\.test/)
  assert.partialDeepStrictEqual(parsed.error.cause, { message: 'refused', code: 'ECONNREFUSED' })
})

test('a refusal inside shows its reason, and an error of many shows them', (t) => {
  verifies(t, 'X-31')
  const fault = new Fault('network_error', { because: `ended with Bearer ${canary}` })
  const many = new AggregateError([
    Object.assign(new Error(`lk_${canary}`), { code: 'ECONNREFUSED' }),
    new Error('second'),
  ])
  const [first = '', second = ''] = record((log) => {
    log.error({ cause: new Error('outside', { cause: fault }) }, 'failed')
    log.error({ cause: many }, 'failed')
  })
  assert.match(first, /"because":"ended with \[redacted\]"/)
  assert.match(second, /"code":"ECONNREFUSED".*"message":"second"/)
  assert.doesNotMatch(first + second, /canary/)
})

test('an object cannot choose how it is written', (t) => {
  verifies(t, 'X-31')
  const [line = ''] = record((log) => log.info({ it: { a: 1, toJSON: () => canary } }, 'x'))
  assert.doesNotMatch(line, /canary/)
})

test('an address without a password stays readable', () => {
  const text = 'https://hub.example:8787/a@b and mailto:a@b.example and 12:30 a@b'
  assert.equal(scrub(text), text)
})

test('a circle, a deep nest and a long list end', () => {
  const circle: Record<string, unknown> = {}
  circle['self'] = circle
  const [line = ''] = record((log) =>
    log.info({ circle, list: Array.from({ length: 10_000 }, () => 'x') }, 'large'),
  )
  assert.ok(line.length < 1000)
})

test('a log keeps its level, and a silent one keeps nothing', () => {
  const lines = record((log) => {
    log.debug({}, 'no')
    log.info({}, 'no')
    log.warn({}, 'yes')
    log.error({}, 'yes')
  }, 'warn')
  assert.equal(lines.length, 2)
  silentLog.error({}, 'nobody hears')
})

test('scrubbing a long hostile text takes no long time', (t) => {
  verifies(t, 'X-31')
  const startedAt = performance.now()
  for (const part of [
    'eyJaaaaaa.',
    'Bearer ',
    'code=',
    'cookie: ',
    '://a:',
    '://',
    '\\',
    'mcp_at_',
    '"token" : ',
  ]) {
    scrub(part.repeat(20_000))
  }
  assert.ok(performance.now() - startedAt < 2000)
})
