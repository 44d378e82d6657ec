// All servers of a person as one, end to end: real clients of both eras at `/mcp`, real servers of both SDKs behind it.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { ClientCapabilities } from '@modelcontextprotocol/client'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { startLibraryServer } from '../counterparts/library-server.ts'
import { restAs, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { until } from '../until.ts'
import type { Store } from '../../src/store/database.ts'
import { signInClient } from './signed-in-client.ts'

const identity = { name: 'latchkey-tests', version: '1.0.0' }

interface Block {
  readonly text?: string
  readonly uri?: string
}

async function setUp(t: TestContext, store: Store) {
  const [old, both, modern, older] = await Promise.all([
    startLibraryServer({ sdk: 1 }),
    startLibraryServer({ sdk: 2 }),
    startLibraryServer({ sdk: 2, isModernOnly: true }),
    startOpenMcpServer({ isOlder: true }),
  ])
  t.after(() => Promise.all([old, both, modern, older].map(({ stop }) => stop())))
  const platform = await startTestPlatform(t, store)
  const browser = await signIn(platform.origin)
  const rest = restAs(browser, platform.origin)
  for (const [slug, { url }] of Object.entries({ old, both, modern, older })) {
    await rest('POST', '/servers', { url, slug, auth: 'none' })
  }
  return { ...platform, browser, rest, old, both, modern, older }
}

for (const era of ['legacy', 'modern'] as const) {
  onEveryDatabase(`a ${era} client has all servers as one`, async (t, store) => {
    verifies(t, 'S4-9', 'A4-2')
    const { origin, browser, old } = await setUp(t, store)
    const { client } = await signInClient({ origin, url: `${origin}/mcp`, era, browser })
    t.after(() => client.close())

    const { tools, _meta: said } = await client.listTools()
    const names = tools.map(({ name }) => name)
    assert.deepEqual(said?.['latchkey/missing'], undefined)
    assert.deepEqual(names.slice(0, 5), [
      'whoami',
      'list_connections',
      'connect',
      'mcp__both__find',
      'mcp__both__lend',
    ])
    const slugs = names.slice(3).map((name) => name.split('__')[1])
    assert.deepEqual([...new Set(slugs)], ['both', 'modern', 'old', 'older'])
    assert.ok(names.every((name) => /^[A-Za-z0-9_-]{1,64}$/.test(name)))

    for (const slug of ['both', 'modern', 'old']) {
      const found = await client.callTool({
        name: `mcp__${slug}__find`,
        arguments: { title: 'dune' },
      })
      const [text, link] = found.content as Block[]
      assert.equal(text?.text, 'found dune')
      assert.equal(link?.uri, `mcp.${slug}+book://title/dune`)
      const hashed = names.find((name) => name.startsWith(`mcp__${slug}__shelf_count_`))
      const counted = await client.callTool({ name: hashed ?? '', arguments: {} })
      assert.equal((counted.content as Block[])[0]?.text, 'two shelves')
      const failed = await client.callTool({ name: `mcp__${slug}__fail`, arguments: {} })
      assert.equal(failed.isError, true)
    }
    const echoed = await client.callTool({ name: 'mcp__older__echo', arguments: { text: 'hi' } })
    assert.match(JSON.stringify(echoed.content), /hi/)

    const { prompts } = await client.listPrompts()
    assert.deepEqual(
      prompts.map(({ name }) => name),
      ['mcp__both__greet', 'mcp__modern__greet', 'mcp__old__greet'],
    )
    const greeting = await client.getPrompt({ name: 'mcp__old__greet', arguments: { name: 'Ada' } })
    assert.match(JSON.stringify(greeting.messages), /Greet Ada/)

    const { resources } = await client.listResources()
    assert.deepEqual(
      resources.map(({ uri }) => uri),
      ['mcp.both+book://shelf', 'mcp.modern+book://shelf', 'mcp.old+book://shelf'],
    )
    const { resourceTemplates } = await client.listResourceTemplates()
    assert.equal(resourceTemplates[0]?.uriTemplate, 'mcp.both+book://title/{title}')
    for (const slug of ['both', 'modern', 'old']) {
      const read = await client.readResource({ uri: `mcp.${slug}+book://title/emma` })
      assert.deepEqual(read.contents, [
        { uri: `mcp.${slug}+book://title/emma`, text: 'text of book://title/emma' },
      ])
      const completed = await client.complete({
        ref: { type: 'ref/resource', uri: `mcp.${slug}+book://title/{title}` },
        argument: { name: 'title', value: 'd' },
      })
      assert.deepEqual(completed.completion.values, ['dune'])
    }
    await assert.rejects(
      client.callTool({ name: 'mcp__none__find', arguments: {} }),
      /no such tool/,
    )
    await assert.rejects(client.readResource({ uri: 'mcp.none+book://shelf' }))
    assert.ok(old.heard().includes('tools/call find'))
  })

  onEveryDatabase(`a ${era} client hears of progress, and cancels`, async (t, store) => {
    verifies(t, 'S4-9')
    const { origin, browser, ...servers } = await setUp(t, store)
    const { client } = await signInClient({ origin, url: `${origin}/mcp`, era, browser })
    t.after(() => client.close())
    for (const slug of ['both', 'modern', 'old'] as const) {
      const steps: number[] = []
      const cancel = new AbortController()
      const call = client.callTool(
        { name: `mcp__${slug}__wait`, arguments: {} },
        {
          signal: cancel.signal,
          onprogress: ({ progress }) => {
            steps.push(progress)
            if (progress === 2) cancel.abort()
          },
        },
      )
      await assert.rejects(call)
      assert.deepEqual(steps, [1, 2])
      await until(() => servers[slug].cancelled() > 0)
    }
  })
}

onEveryDatabase('a server asks the person of a client that can be asked', async (t, store) => {
  verifies(t, 'S4-9')
  const { origin, browser } = await setUp(t, store)
  const url = `${origin}/mcp`
  const signedIn = await signInClient({ origin, url, era: 'modern', browser })
  await signedIn.client.close()
  const headers = { authorization: `Bearer ${signedIn.tokens()?.access_token ?? ''}` }
  const questions: string[] = []
  const connect = async (capabilities: ClientCapabilities) => {
    const pinned = { mode: { pin: '2026-07-28' } } as const
    const client = new Client(identity, { capabilities, versionNegotiation: pinned })
    t.after(() => client.close())
    if (capabilities.elicitation !== undefined) {
      client.setRequestHandler('elicitation/create', ({ params }) => {
        questions.push(params.message)
        return { action: 'accept', content: { title: 'emma' } }
      })
    }
    await client.connect(
      new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }),
    )
    return client
  }
  const asked = await connect({ elicitation: { form: {} } })
  const silent = await connect({})
  for (const slug of ['both', 'modern']) {
    const call = { name: `mcp__${slug}__ask`, arguments: {} }
    assert.match(JSON.stringify(await asked.callTool(call)), /page 1: .*emma/)
    await assert.rejects(silent.callTool(call))
  }
  assert.deepEqual(questions, ['Which book?', 'Which book?'])
})
