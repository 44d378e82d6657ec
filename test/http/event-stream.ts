// The event stream as an EventSource reads it: block by block, comments passed over.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { cookiesOf } from './doors.ts'
import { readBlocks } from './event-blocks.ts'

/** One event. */
export interface Event {
  readonly id: string
  readonly type: string
  // Tests look into many shapes; what they find there they assert.
  readonly json: any // oxlint-disable-line typescript/no-explicit-any
}

/** An open stream, read block by block as an EventSource does. */
export async function listen(
  t: TestContext,
  origin: string,
  headers: Readonly<Record<string, string>>,
  query = '',
) {
  const leaving = new AbortController()
  t.after(() => leaving.abort())
  const { signal } = leaving
  const answer = await fetch(`${origin}/api/v1/events${query}`, { headers, signal })
  assert.equal(answer.status, 200)
  assert.match(answer.headers.get('content-type') ?? '', /^text\/event-stream/)
  assert.match(answer.headers.get('cache-control') ?? '', /no-store/)
  const blocks = readBlocks(answer.body!)
  const nextBlock = async () => (await blocks.next()).value
  const first = await nextBlock()
  return {
    cursor: /^id: (\d+)$/m.exec(first ?? '')?.[1],
    nextBlock,
    nextEvent: async (): Promise<Event | undefined> => {
      for (;;) {
        const block = await nextBlock()
        if (block === undefined) return undefined
        if (!block.startsWith(':')) return eventIn(block)
      }
    },
    leave: () => leaving.abort(),
  }
}

function eventIn(block: string): Event {
  const [, id = '', type = '', data = ''] = /^id: (.*)\nevent: (.*)\ndata: (.*)$/.exec(block) ?? []
  return { id, type, json: JSON.parse(data) }
}

/** The header that makes a request one of this browser's. */
export function cookieOf(browser: CookieBrowser) {
  return { cookie: cookiesOf(browser) }
}
