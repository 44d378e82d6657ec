// GraphQL as a page of ours, a program with a key or a listener asks it.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { restAs } from '../harness.ts'
import { cookiesOf } from './doors.ts'
import type { Answer, Doors } from './doors.ts'
import { readBlocks } from './event-blocks.ts'

export type Variables = Readonly<Record<string, unknown>>

export interface Graphql {
  readonly ask: (query: string, variables?: Variables) => Promise<Answer>
  /** The data of an answer without errors. */
  // Tests look into many shapes; what they find there they assert.
  readonly data: (query: string, variables?: Variables) => Promise<any> // oxlint-disable-line typescript/no-explicit-any
  readonly listen: (t: TestContext, query: string, variables?: Variables) => Promise<Listener>
}

export interface Listener {
  /** The next block of the stream as it came; undefined at its end. */
  readonly nextBlock: () => Promise<string | undefined>
  /** The next result, past comments; undefined when the stream ends or is complete. */
  // The same.
  readonly next: () => Promise<any> // oxlint-disable-line typescript/no-explicit-any
  readonly leave: () => void
}

type Headers = Readonly<Record<string, string>>

/** As the person in this browser. */
export function graphqlAs(doors: Doors, browser: CookieBrowser): Graphql {
  return graphqlWith(doors, () => ({ cookie: cookiesOf(browser), origin: doors.origin }))
}

/** With a key of the person in this browser. */
export async function graphqlByKey(
  doors: Doors,
  browser: CookieBrowser,
  scopes: readonly string[] = ['api'],
): Promise<Graphql & { readonly keyId: string }> {
  const made = await restAs(browser, doors.origin)('POST', '/api-keys', { name: 'x', scopes })
  assert.equal(made.status, 201)
  const authorization = `Bearer ${made.body.key}`
  return { ...graphqlWith(doors, () => ({ authorization })), keyId: made.body.id }
}

function graphqlWith(doors: Doors, headersNow: () => Headers): Graphql {
  const ask: Graphql['ask'] = (query, variables) =>
    doors.ask({ path: '/graphql', json: { query, variables }, headers: headersNow() })
  return {
    ask,
    data: async (query, variables) => {
      const answer = await ask(query, variables)
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.json.errors, undefined, answer.text)
      return answer.json.data
    },
    listen: (t, query, variables) => listen(t, doors.origin, headersNow(), { query, variables }),
  }
}

async function listen(
  t: TestContext,
  origin: string,
  headers: Headers,
  body: { readonly query: string; readonly variables: Variables | undefined },
): Promise<Listener> {
  const leaving = new AbortController()
  t.after(() => leaving.abort())
  const answer = await fetch(`${origin}/graphql`, {
    method: 'POST',
    headers: { ...headers, accept: 'text/event-stream', 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: leaving.signal,
  })
  assert.equal(answer.status, 200)
  assert.match(answer.headers.get('content-type') ?? '', /^text\/event-stream/)
  assert.match(answer.headers.get('cache-control') ?? '', /no-store/)
  assert.ok(answer.body !== null)
  const blocks = readBlocks(answer.body)
  const nextBlock = async () => (await blocks.next()).value
  assert.equal(await nextBlock(), ': listening')
  return {
    nextBlock,
    next: async () => {
      for (;;) {
        const block = await nextBlock()
        if (block === undefined || block.startsWith('event: complete')) return undefined
        const data = /^event: next\ndata: (.*)$/.exec(block)?.[1]
        if (data !== undefined) return JSON.parse(data)
      }
    },
    leave: () => leaving.abort(),
  }
}
