// Which types of a document are JSON, and what is said of the others.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contentTypeFindings } from './doctor-content-type.ts'

const place = { about: 'resource', named: 'It', clause: 'RFC 9728 §3.2', by: 'server' } as const

function findings(type: string | undefined) {
  const url = 'https://mcp.example/.well-known/oauth-protected-resource'
  const headers = new Headers(type === undefined ? {} : { 'content-type': type })
  const response = { status: 200, url, headers, text: '{}', json: () => ({}) }
  return contentTypeFindings({ step: 'resource_metadata', url, response }, place)
}

test('a document that is sent as JSON of any kind is nothing to speak of', () => {
  const types = ['application/json', 'Application/JSON; charset=utf-8', 'application/ld+json']
  for (const type of types) assert.deepEqual(findings(type), [], type)
})

test('a document that is sent as something else is told with its clause', () => {
  const said = (sentAs: string) => [
    {
      verdict: 'wrong',
      about: 'resource',
      code: 'content_type',
      words: `It is sent as ${sentAs}. Latchkey reads it all the same; other clients may not.`,
      clause: 'RFC 9728 §3.2',
      mend: { by: 'server', how: 'Send Content-Type: application/json.' },
    },
  ]
  assert.deepEqual(findings('text/plain'), said('text/plain'))
  assert.deepEqual(findings('application/jsonp'), said('application/jsonp'))
  assert.deepEqual(findings(undefined), said('no type'))
  assert.deepEqual(findings('x'.repeat(61)), said('x'.repeat(60)))
})
