// The relay by itself: the reader's pace, and a client that leaves before the server is reached.
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { Dispatcher } from 'undici'
import { forward } from './proxy.ts'

test('a reader that does not keep up holds the server back, and lets it go on', async () => {
  const { controller, said } = fakeController()
  const response = fakeResponse({ isFull: true })
  const outcome = forwardTo(response, (handler) => {
    handler.onRequestStart?.(controller, {})
    handler.onResponseStart?.(controller, 200, { 'content-type': 'text/event-stream' })
    handler.onResponseData?.(controller, Buffer.from('data: one\n\n'))
    assert.deepEqual(said, ['pause'])
    response.emit('drain')
    assert.deepEqual(said, ['pause', 'resume'])
    handler.onResponseEnd?.(controller, {})
  })

  assert.deepEqual(await outcome, { kind: 'passed', status: 200 })
  assert.equal(response.listenerCount('drain') + response.listenerCount('close'), 0)
})

test('a client that leaves before the connection stands is not served after it', async () => {
  const { controller, said } = fakeController()
  const response = fakeResponse({ isFull: false })
  const outcome = forwardTo(response, (handler) => {
    response.emit('close')
    handler.onRequestStart?.(controller, {})
    handler.onResponseError?.(controller, new Error('aborted'))
  })

  assert.equal((await outcome).kind, 'broken')
  assert.deepEqual(said, ['abort'])
})

test('a dispatcher that throws is an outcome, and no text of its error is kept (threat X-28)', async () => {
  const outcome = await forwardTo(fakeResponse({ isFull: false }), () => {
    throw new Error('Headers.append: "Bearer secret" is an invalid header value.')
  })

  assert.equal(outcome.kind, 'failed')
  assert.ok(!JSON.stringify(outcome).includes('secret'))
})

test('an announcement before the answer (1xx) is not the answer', async () => {
  const { controller } = fakeController()
  const response = fakeResponse({ isFull: false })
  const outcome = await forwardTo(response, (handler) => {
    handler.onRequestStart?.(controller, {})
    handler.onResponseStart?.(controller, 103, {})
    handler.onResponseStart?.(controller, 204, {})
    handler.onResponseEnd?.(controller, {})
  })

  assert.deepEqual(outcome, { kind: 'passed', status: 204 })
})

function forwardTo(response: ServerResponse, play: (handler: Dispatcher.DispatchHandler) => void) {
  const dispatcher = Object.create(Dispatcher.prototype) as Dispatcher // only dispatch is called
  dispatcher.dispatch = (_options, handler) => {
    play(handler)
    return true
  }
  return forward({
    outbound: { dispatcher },
    outgoing: { url: 'https://notes.example/mcp', method: 'POST', headers: {}, body: undefined },
    response,
    headersOf: () => ({}),
    answerTimeMs: 1000,
  })
}

function fakeResponse({ isFull }: { readonly isFull: boolean }): ServerResponse {
  const nothing = () => undefined
  const parts = { destroyed: false, writeHead: nothing, flushHeaders: nothing, end: nothing }
  const response = Object.assign(new EventEmitter(), parts, { write: () => !isFull })
  return response as unknown as ServerResponse // the relay uses nothing else of it
}

function fakeController() {
  const said: string[] = []
  const say = (word: string) => () => void said.push(word)
  const controller = { pause: say('pause'), resume: say('resume'), abort: say('abort') }
  return { said, controller: controller as unknown as Dispatcher.DispatchController } // nothing else is used
}
