// Requests to a server behind the gateway as bytes, which `fetch` would clean: none of them reaches the server, and each gets
// its one refusal.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { signInClient } from '../flows/signed-in-client.ts'
import { restAs, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'

const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })

onEveryDatabase('what a careful client would never send reaches no server', async (t, store) => {
  verifies(t, 'X-18', 'X-19', 'X-26', 'X-27', 'P-84')
  const server = await startOpenMcpServer()
  t.after(() => server.stop())
  const { origin } = await startTestPlatform(t, store)
  const browser = await signIn(origin)
  await restAs(browser, origin)('POST', '/servers', { url: server.url, slug: 'notes' })
  const { client, tokens } = await signInClient({ origin, url: `${origin}/notes/mcp`, browser })
  await client.close()
  const token = tokens()?.access_token ?? ''
  const { host } = new URL(origin)
  const auth = `Authorization: Bearer ${token}`
  const usual = [`Host: ${host}`, auth, 'Content-Type: application/json', 'Accept: */*']
  const length = `Content-Length: ${body.length}`
  const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  const post = 'POST /notes/mcp HTTP/1.1'
  const at = (line: string, hosts: readonly string[] = usual) => wire([line, ...hosts, length])
  const withHost = (...hosts: readonly string[]) =>
    at(post, [...hosts.map((one) => `Host: ${one}`), ...usual.slice(1)])
  const attacks: Readonly<Record<string, readonly [string, number]>> = {
    'length and chunks': [
      wire([post, ...usual, length, 'Transfer-Encoding: chunked'], chunked),
      400,
    ],
    'two lengths': [wire([post, ...usual, length, 'Content-Length: 3']), 400],
    'an unknown coding': [wire([post, ...usual, 'Transfer-Encoding: xchunked'], chunked), 400],
    'two codings': [wire([post, ...usual, 'Transfer-Encoding: chunked, identity'], chunked), 400],
    'a space before the colon': [wire([post, ...usual, `Content-Length : ${body.length}`]), 400],
    'lines that end with LF alone': [`${[post, ...usual, length].join('\n')}\n\n${body}`, 400],
    'a field that goes on in the next line': [wire([post, ...usual, 'X-A: b\r\n c', length]), 400],
    'a NUL in a field': [wire([post, ...usual, 'X-A: b\0c', length]), 400],
    'too many bytes of fields': [wire([post, ...usual, `X-A: ${'a'.repeat(17_000)}`, length]), 431],
    'two hosts': [withHost(host, 'evil.test'), 400],
    'no host': [withHost(), 400],
    'a host with a path': [withHost('x/public?'), 400],
    'a host of nobody': [withHost('evil.test'), 421],
    'another host in the target': [at('POST http://evil.test/notes/mcp HTTP/1.1'), 400],
    'a target that begins with two slashes': [at('POST //evil.test/notes/mcp HTTP/1.1'), 400],
    'a target with a backslash': [at('POST /\\evil.test/notes/mcp HTTP/1.1'), 400],
    'a slug in other letters': [at('POST /Notes/mcp HTTP/1.1'), 404],
    'an encoded slug': [at('POST /n%6ftes/mcp HTTP/1.1'), 404],
    'a way around': [at('POST /other/../notes/mcp HTTP/1.1'), 400],
    'two tokens': [wire([post, ...usual, auth, length]), 400],
    'a token in the address': [
      at(`POST /notes/mcp?access_token=${token} HTTP/1.1`, usual.toSpliced(1, 1)),
      401,
    ],
    'a token in a cookie': [
      at(post, usual.toSpliced(1, 1, `Cookie: access_token=${token}; token=${token}`)),
      401,
    ],
  }
  const before = server.calls().length
  for (const [name, [bytes, status]] of Object.entries(attacks)) {
    await t.test(name, async () => {
      const answer = await send(origin, bytes)
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), answer.slice(0, 300))
      // Nothing that followed in the same bytes was taken for a request of its own.
      assert.equal(answer.match(/^HTTP\/1\.1 /gm)?.length, 1)
      assert.ok(!answer.includes(token))
    })
  }
  assert.equal(server.calls().length, before)
  const fine = await send(origin, wire([post, ...usual, length, 'Connection: close']))
  assert.match(fine, /^HTTP\/1\.1 (200|406) /)
  assert.equal(server.calls().length, before + 1)
})

function wire(lines: readonly string[], content = body): string {
  return `${lines.join('\r\n')}\r\n\r\n${content}`
}

/** Sends the bytes and takes what comes until the other side closes, or has nothing more to say. */
function send(origin: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(origin).port), '127.0.0.1')
    let answer = ''
    socket.setTimeout(300, () => socket.destroy())
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' ? resolve(answer) : reject(error),
    )
    socket.on('close', () => resolve(answer))
    socket.write(bytes)
  })
}
