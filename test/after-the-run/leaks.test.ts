// After every other test: nothing that was logged, answered or stored in the whole run holds a secret that was issued in
// it. Secrets of ours carry a marker; those of others were written down one by one.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { createFinder } from '../find-any.ts'
import type { Finder } from '../find-any.ts'
import { secretMarker } from '../harness.ts'
import type { RecordedAnswer } from '../record.ts'
import { recordFile } from '../record.ts'
import { verifies } from '../requirements.ts'

/** The answers that hand a secret to its owner: that is what they are for. */
const handingOut: readonly RegExp[] = [
  /^POST \/oauth\/token 200$/,
  /^POST \/oauth\/par 201$/,
  /^POST \/oauth\/device_authorization 200$/,
  /^POST \/oauth\/register 201$/,
  /^(GET|PUT) \/oauth\/register\/[^/]+ 200$/,
  /^POST \/api\/v1\/(api-keys|clients|webhooks) 201$/,
  /^POST \/api\/v1\/(clients|webhooks)\/[^/]+\/rotate-secret 20[01]$/,
  /^POST \/api\/v1\/webhooks 201$/,
  /^POST \/api\/v1\/users 201$/,
  /^POST \/api\/v1\/users\/[^/]+\/reset-password 200$/,
  /^POST \/api\/v1\/tenants 201$/,
  /^POST \/api\/v1\/tenants\/[^/]+\/setup-link 20[01]$/,
  /^POST \/api\/v1\/webhooks\/[^/]+\/rotate-secret 200$/,
  /^POST \/api\/v1\/connections\/[^/]+\/token 200$/,
  // A new secret, key or password, on the page of the administrator who asked for it.
  /^POST \/console\/(api-keys|clients|people|webhooks) 20[01]$/,
  /^POST \/console\/(people|webhooks)\/[^/]+ 200$/,
  // The one-time link itself, in the form of the page that it opened.
  /^(GET|POST) \/setup (200|422)$/,
]

test('no secret of the run is in a log', (t) => {
  verifies(t, 'A4-15')
  const log = read('log')
  assert.ok(log.includes('"level"'), 'the run logged something')
  assertClean(log, 'the log')
})

test('no secret of the run is in a database', (t) => {
  verifies(t, 'S1-58', 'S2-42', 'S3-43', 'S4-44', 'C25')
  const database = read('database')
  assert.ok(database.includes('access_tokens {'))
  assert.ok(database.includes('credentials {'))
  assertClean(database, 'a database')
})

test('no secret of the run is in an answer that is not meant to hand it out', (t) => {
  verifies(t, 'A2-4', 'S4-11')
  const answers = readAnswers()
  // The control: the marker is found where secrets are handed out, so the search would find it elsewhere.
  const handedOut = answers.filter(
    (answer) => isHandingOut(answer) && answer.body.includes(secretMarker),
  )
  assert.ok(handedOut.length > 10, 'secrets were handed out in this run')
  for (const answer of answers) {
    const place = nameOf(answer)
    if (!isHandingOut(answer)) assertClean(Buffer.from(answer.body), `the answer to ${place}`)
    const headers = Buffer.from(JSON.stringify(headersToSearch(answer)))
    assertClean(headers, `the headers of ${place}`)
  }
})

function read(name: Parameters<typeof recordFile>[0]): Buffer {
  const file = recordFile(name)
  assert.ok(file !== undefined && existsSync(file), `the run wrote its ${name} down`)
  return readFileSync(file)
}

function readAnswers(): readonly RecordedAnswer[] {
  return read('answers')
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as RecordedAnswer) // record.ts wrote them
}

function nameOf({ method, path, status }: RecordedAnswer): string {
  return `${method} ${path} ${status}`
}

function isHandingOut(answer: RecordedAnswer): boolean {
  // A tenant without a host of its own has the same paths below its own.
  const path = answer.path.replace(/^\/t\/[a-z0-9-]+(?=\/)/, '')
  return handingOut.some((pattern) => pattern.test(nameOf({ ...answer, path })))
}

/** Cookies and codes travel in headers by design: the cookie to its browser, the code to the client's redirect URI. */
function headersToSearch({ headers, status }: RecordedAnswer): Record<string, unknown> {
  const { 'set-cookie': _cookie, location, ...others } = headers
  const isRedirect = status === 302 || status === 303
  const kept = typeof location === 'string' && isRedirect ? withoutCode(location) : location
  return { ...others, location: kept }
}

function withoutCode(location: string): string {
  return location.replace(/([?&]code=)[^&]+/, '$1')
}

function assertClean(text: Buffer, place: string): void {
  find ??= createFinder([secretMarker, ...foreignSecrets()])
  const found = find(text)
  if (found === undefined) return
  const before = text.subarray(Math.max(0, found.at - 80), found.at)
  assert.fail(`a secret is in ${place}: …${before.toString()}[here]…`)
}

let find: Finder | undefined

function foreignSecrets(): ReadonlySet<string> {
  // Anything shorter is a word that may stand anywhere.
  const lines = read('secrets').toString().split('\n')
  return new Set(lines.filter((secret) => secret.length >= 16))
}
