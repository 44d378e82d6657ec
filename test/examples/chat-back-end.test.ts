// The example's chat back end: its toolbox against real servers, and its README followed word by word.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { limits, openToolbox } from '../../examples/chat-back-end/toolbox.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { freePort } from '../harness.ts'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { connect, startApp } from '../library/app.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'

const root = join(import.meta.dirname, '..', '..')
const example = join(root, 'examples', 'chat-back-end')

onEveryDatabase('a chat has the tools of every connection that is signed in', async (t, store) => {
  verifies(t, 'S2-14', 'S2-16')
  const { foreign, server } = await startUpstream(t)
  const { server: unsigned } = await startUpstream(t)
  const open = await startOpenMcpServer()
  t.after(() => open.stop())
  const app = await startApp(t, store)
  const { connectors } = app
  const notes = await connectors.servers.add({ url: server.url, slug: 'notes' })
  const others = await connectors.servers.add({ url: open.url, slug: 'open' })
  await connect(app, 'ada', notes.id)
  await connect(app, 'ada', others.id)
  await connectors.begin('ada', unsigned.url)
  const callsBefore = unsigned.calls().length

  const toolbox = await openToolbox(connectors, 'ada')
  const names = toolbox.tools.map(({ name }) => name)
  assert.ok(names.includes('mcp__notes__echo'))
  assert.ok(names.includes('mcp__open__echo'))
  assert.equal(new Set(names).size, names.length)
  assert.equal(unsigned.calls().length, callsBefore)
  const said = await toolbox.call('mcp__notes__echo', { text: 'hello' })
  assert.deepEqual((said as { content: unknown }).content, [{ type: 'text', text: 'hello' }])
  await assert.rejects(toolbox.call('mcp__notes__nothing', {}), /there is no tool/)
  await toolbox.close()

  assert.deepEqual((await openToolbox(connectors, 'eve')).tools, [])
  assert.deepEqual(limits, { connectMs: 10_000, callMs: 60_000 })
  app.alsoSecret(foreign.tokensIssued())
})

onEveryDatabase('a server that fails costs its own tools only, and says why', async (t, store) => {
  verifies(t, 'S2-15')
  const good = await startOpenMcpServer()
  t.after(() => good.stop())
  const { foreign, server: lost } = await startUpstream(t)
  const troubled = await startTroubledServer(t)
  const app = await startApp(t, store)
  const { connectors } = app
  await connectors.servers.add({ url: good.url, slug: 'good', auth: 'none' })
  const bad = await connectors.servers.add({ url: troubled.url, slug: 'bad', auth: 'none' })
  await connect(app, 'ada', good.url)
  const badConnection = await connect(app, 'ada', bad.id)
  const lostConnection = await connect(app, 'ada', lost.url)
  const errorOf = async (id: string) =>
    (await connectors.connections('ada')).find((one) => one.id === id)?.lastError
  const namesNow = async (connectMs = limits.connectMs) => {
    const toolbox = await openToolbox(connectors, 'ada', { ...limits, connectMs })
    await toolbox.close()
    return toolbox.tools.map(({ name }) => name)
  }

  foreign.revokeEverything()
  troubled.answer('error')
  assert.ok((await namesNow()).includes('mcp__good__echo'))
  const noted = (await errorOf(badConnection)) ?? ''
  assert.ok(noted.length > 0 && noted.length <= 1000)
  assert.match((await errorOf(lostConnection)) ?? '', /Please reconnect/)

  troubled.answer('silence')
  assert.ok((await namesNow(2_500)).includes('mcp__good__echo'))
  assert.equal(await errorOf(badConnection), 'no answer within 2.5 s')

  troubled.answer('well')
  assert.ok((await namesNow()).includes('mcp__bad__echo'))
  assert.equal(await errorOf(badConnection), undefined)
  app.alsoSecret(foreign.tokensIssued())
})

/** A server that can be told to answer with a long error, or not at all; when well it is a real one. */
async function startTroubledServer(t: TestContext) {
  const real = await startOpenMcpServer()
  let mood: 'error' | 'silence' | 'well' = 'well'
  const { origin, stop } = await listenOnLoopback(() => (request, response) => {
    if (mood === 'well') return passOn(real.url, request, response)
    if (mood === 'error') response.writeHead(500).end('x'.repeat(5000))
    request.resume()
  })
  t.after(async () => {
    await stop()
    await real.stop()
  })
  return { url: `${origin}/mcp`, answer: (next: typeof mood) => void (mood = next) }
}

function passOn(url: string, request: IncomingMessage, response: ServerResponse): void {
  const { method = 'GET', headers } = request
  const onward = httpRequest(url, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  request.pipe(onward)
}

test('whoever follows the README of the example word by word has tools', async (t) => {
  const { server } = await startUpstream(t)
  const folder = copyExample(t)
  const [choose = '', start = '', beSomebody = '', begin = '', tools = '', connections = ''] =
    blocksOf(readFileSync(join(example, 'README.md'), 'utf8'))
  const port = await freePort()
  const environment = {
    PORT: String(port),
    MCP_SERVER: server.url,
    CONNECTORS_KEY: randomBytes(32).toString('base64'),
    ALLOW_PRIVATE_NETWORKS: 'loopback',
  }
  const chosen = [...choose.matchAll(/export (\w+)=/g)].map(([, name]) => name)
  assert.deepEqual(chosen, Object.keys(environment).slice(0, 3))
  const run = createShell(folder, environment)
  const running = run(`exec ${start}`)
  t.after(running.kill)
  await running.seen('The chat back end is on')

  assert.equal(await run(beSomebody).ended, 'You are ada.')
  const begun = JSON.parse(await run(begin).ended) as { authorizeUrl: string }
  const browser = createCookieBrowser()
  await browser.open(`http://localhost:${port}/sign-in?as=ada`)
  assert.match((await browser.open(begun.authorizeUrl)).html, /Connected/)

  const listed = JSON.parse(await run(tools).ended) as { name: string }[]
  assert.ok(listed.some(({ name }) => /^mcp__[a-z0-9-]+__echo$/.test(name)))
  const [connection] = JSON.parse(await run(connections).ended) as { status: string }[]
  assert.equal(connection?.status, 'connected')
})

function blocksOf(markdown: string): readonly string[] {
  return [...markdown.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block.trim())
}

/** The example as an app of its own: beside what it imports, with the package where npm would put it. */
function copyExample(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-example-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(example, folder, { recursive: true })
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, '@hono'), { recursive: true })
  symlinkSync(root, join(modules, 'latchkey'))
  for (const name of ['hono', '@hono/node-server', '@modelcontextprotocol']) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  }
  return folder
}

function createShell(folder: string, environment: Readonly<Record<string, string>>) {
  const path = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`
  return (command: string) => {
    const child = spawn('bash', ['-c', command], {
      cwd: folder,
      env: { ...environment, PATH: path },
    })
    let said = ''
    let onSaid = () => {}
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        if (stream === child.stdout) said += chunk.toString()
        onSaid()
      })
    }
    const ended = new Promise<string>((resolve) => child.on('close', () => resolve(said)))
    const seen = async (text: string) => {
      while (!said.includes(text)) {
        const more = new Promise<void>((resolve) => {
          onSaid = resolve
        })
        const isOver = await Promise.race([more.then(() => false), ended.then(() => true)])
        if (isOver) assert.fail(`it ended before it said "${text}"`)
      }
    }
    return { ended, seen, kill: () => child.kill() }
  }
}
