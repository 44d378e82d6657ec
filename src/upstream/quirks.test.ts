// Who is recognised as a provider with quirks, and what a row does to what is sent and read.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  completedMetadata,
  isSameIssuer,
  ownRefusal,
  requestedAccess,
  usualAnswer,
} from './adapt.ts'
import { appliedQuirks } from './quirks.ts'

const resource = 'https://mcp.example/mcp'

const recognised: readonly (readonly [string, string | undefined])[] = [
  ['https://login.microsoftonline.com/8eaef023/v2.0', 'Microsoft Entra ID'],
  ['https://login.microsoftonline.us/8eaef023/v2.0', 'Microsoft Entra ID'],
  ['https://login.microsoftonline.com/8eaef023', undefined],
  ['https://acme.eu.auth0.com/', 'Auth0'],
  ['https://accounts.google.com', 'Google'],
  ['https://github.com/login/oauth', 'GitHub'],
  ['https://slack.com', 'Slack'],
  ['https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_aB3', 'Amazon Cognito'],
  ['https://auth.atlassian.com', 'Atlassian'],
  ['http://accounts.google.com', undefined],
  ['https://accounts.google.com.evil.example', undefined],
  ['https://evil.example/https://accounts.google.com', undefined],
  ['https://accounts.google.com:8443', undefined],
  ['https://acme.auth0.com.evil.example/', undefined],
  ['https://evilauth0.com/', undefined],
  ['https://evil.slack.com', undefined],
  ['https://mcp.linear.app', undefined],
  ['https://mcp.notion.com', undefined],
]

test('a provider is recognised by its whole issuer and by nothing like it', () => {
  for (const [issuer, provider] of recognised) {
    assert.equal(appliedQuirks(issuer)[0]?.provider, provider, issuer)
  }
})

test('one slash at the end is passed over where a row says so, and nothing else', () => {
  const google = 'https://accounts.google.com'
  assert.ok(isSameIssuer(google, `${google}/`))
  assert.ok(isSameIssuer(`${google}/`, google))
  for (const other of [`${google}//`, `${google}/x`, google.toUpperCase(), 'https://google.com/']) {
    assert.ok(!isSameIssuer(google, other), other)
  }
  assert.ok(!isSameIssuer('https://idp.example', 'https://idp.example/'))
  assert.ok(!isSameIssuer('https://github.com/login/oauth', 'https://github.com/login/oauth/'))
})

test('what metadata say is never replaced', () => {
  const cognito = 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_aB3'
  const name = 'code_challenge_methods_supported'
  assert.deepEqual(completedMetadata(cognito, {}), { [name]: ['S256'] })
  assert.deepEqual(completedMetadata(cognito, { [name]: ['plain'] }), { [name]: ['plain'] })
  assert.deepEqual(completedMetadata('https://idp.example', {}), {})
})

test('Atlassian is told its one audience; everybody else is asked by the standard', () => {
  const scopes = ['read:jira-work', 'offline_access']
  const scope = scopes.join(' ')
  const usual = { resource, scope, prompt: 'consent' }
  assert.deepEqual(requestedAccess({ issuer: 'https://idp.example', resource, scopes }), usual)
  assert.deepEqual(requestedAccess({ issuer: 'https://auth.atlassian.com', resource, scopes }), {
    ...usual,
    audience: 'api.atlassian.com',
  })
})

test('a token type of one’s own is a bearer token at Slack only', () => {
  const answer = { token_type: 'user' }
  const read = (issuer: string) => usualAnswer({ issuer, resource }, answer)
  assert.deepEqual(read('https://slack.com'), { token_type: 'Bearer' })
  assert.deepEqual(read('https://idp.example'), answer)
  assert.equal(ownRefusal('https://slack.com', 'ratelimited'), 'trouble')
  assert.equal(ownRefusal('https://slack.com', 'toString'), undefined)
  assert.equal(ownRefusal('https://idp.example', 'ratelimited'), undefined)
})
