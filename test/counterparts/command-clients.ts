// Owns the command-line clients that people really use, run as processes of their own: the MCP
// Inspector's CLI and mcp-remote. They get a home of their own and never open a browser.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface InspectorRun {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** Such as `['--method', 'tools/list']`. */
  readonly args: readonly string[]
  readonly era?: 'legacy' | 'modern' | 'auto'
  readonly timeoutMs?: number
}

/** What a command left behind; `json` is its output when that was JSON. */
export interface CommandResult {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
  readonly json: unknown
}

/** Runs one method with the Inspector's CLI; exit code 3 means that it was told to sign in. */
export async function runInspectorCli(run: InspectorRun): Promise<CommandResult> {
  const target = ['--cli', '--server-url', run.url, '--transport', 'http']
  const manner = ['--format', 'json', '--protocol-era', run.era ?? 'auto', '--stored-auth-only']
  const args = [...target, ...manner, ...headerArguments(run.headers), ...run.args]
  const home = await makeHome()
  try {
    const child = start(
      '@modelcontextprotocol/inspector/clients/launcher/build/index.js',
      args,
      home,
    )
    return await finish(child, run.timeoutMs ?? 30_000)
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

export interface McpRemoteRun {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** Plays the browser: opens the authorize URL and follows it to the callback on loopback. */
  readonly authorize: (url: string) => Promise<void>
  /** Where it keeps its tokens; one of its own by default, which `stop` removes. */
  readonly configDirectory?: string
  readonly timeoutMs?: number
  readonly args?: readonly string[]
}

/** A running mcp-remote whose stdio side has been initialized. */
export interface McpRemote {
  readonly request: (method: string, params?: Readonly<Record<string, unknown>>) => Promise<unknown>
  readonly authorizeUrls: () => readonly string[]
  readonly stderr: () => string
  readonly stop: () => Promise<void>
}

/** Starts mcp-remote as the stdio proxy that desktop clients start, and shakes hands with it. */
export async function runMcpRemote(run: McpRemoteRun): Promise<McpRemote> {
  const home = await makeHome()
  const target = [run.url, String(await findFreePort()), '--allow-http', '--transport', 'http-only']
  const args = [...target, ...headerArguments(run.headers), ...(run.args ?? [])]
  const MCP_REMOTE_CONFIG_DIR = run.configDirectory ?? join(home, 'mcp-remote')
  const child = start('mcp-remote/dist/proxy.js', args, home, { MCP_REMOTE_CONFIG_DIR })
  const watched = watchForAuthorizeUrls(child, run.authorize)
  const request = createRequester(child, run.timeoutMs ?? 30_000, watched.stderr)
  const stop = async () => {
    await end(child)
    await rm(home, { recursive: true, force: true })
  }
  try {
    await initialize(child, request)
  } catch (error) {
    await stop()
    throw error
  }
  return { request, ...watched, stop }
}

function headerArguments(headers: Readonly<Record<string, string>> = {}): string[] {
  return Object.entries(headers).flatMap(([name, value]) => ['--header', `${name}: ${value}`])
}

function makeHome(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'latchkey-command-client-'))
}

// Nothing of the environment is handed on, so that no display and no desktop is found; `BROWSER`
// makes every opener believe that a browser has been started.
function start(
  script: string,
  args: readonly string[],
  home: string,
  environment: Readonly<Record<string, string>> = {},
): ChildProcessWithoutNullStreams {
  const path = fileURLToPath(new URL(`../../node_modules/${script}`, import.meta.url))
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, BROWSER: 'true', ...environment }
  return spawn(process.execPath, [path, ...args], { env, cwd: home })
}

async function finish(
  child: ChildProcessWithoutNullStreams,
  timeoutMs: number,
): Promise<CommandResult> {
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  child.stdin.end()
  const [stdout, stderr, exitCode] = await Promise.all([
    collect(child.stdout),
    collect(child.stderr),
    new Promise<number | null>((resolve) => child.once('close', resolve)),
  ])
  clearTimeout(timer)
  return { exitCode, stdout, stderr, json: readJson(stdout) }
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // not every command answers with JSON
  }
}

function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo // a TCP listener always has one
      server.close(() => resolve(port))
    })
  })
}

// It prints “Please authorize this client by visiting:” and the URL on a line of its own.
function watchForAuthorizeUrls(
  child: ChildProcessWithoutNullStreams,
  authorize: McpRemoteRun['authorize'],
) {
  const authorizeUrls: string[] = []
  let stderr = ''
  createInterface(child.stderr).on('line', (line) => {
    stderr += `${line}\n`
    const url = line.trim()
    const isAuthorizeUrl = /^https?:\S+[?&]response_type=code/.test(url)
    if (!isAuthorizeUrl || authorizeUrls.includes(url)) return
    authorizeUrls.push(url)
    authorize(url).catch((error: unknown) => {
      stderr += `the test's browser failed: ${String(error)}\n`
      child.kill()
    })
  })
  return { authorizeUrls: () => [...authorizeUrls], stderr: () => stderr }
}

interface Answer {
  readonly id?: unknown
  readonly result?: unknown
  readonly error?: { readonly message: string }
}

function createRequester(
  child: ChildProcessWithoutNullStreams,
  timeoutMs: number,
  stderr: () => string,
): McpRemote['request'] {
  const waiting = new Map<number, (answer: Answer) => void>()
  let lastId = 0
  createInterface(child.stdout).on('line', (line) => {
    const answer = JSON.parse(line) as Answer // mcp-remote writes JSON-RPC and nothing else
    if (typeof answer.id === 'number') waiting.get(answer.id)?.(answer)
  })
  const failAll = () => {
    for (const settle of waiting.values()) settle({ error: { message: 'mcp-remote has ended' } })
  }
  child.once('close', failAll)
  return async (method, params = {}) => {
    const id = ++lastId
    const answer = await new Promise<Answer>((resolve) => {
      const late = { error: { message: `no answer to ${method} within ${timeoutMs} ms` } }
      const timer = setTimeout(() => resolve(late), timeoutMs)
      waiting.set(id, (answer) => {
        clearTimeout(timer)
        resolve(answer)
      })
      write(child, { id, method, params })
    })
    waiting.delete(id)
    if (answer.error) throw new Error(`${answer.error.message}\n${stderr()}`)
    return answer.result
  }
}

function write(child: ChildProcessWithoutNullStreams, message: object): void {
  child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
}

async function initialize(
  child: ChildProcessWithoutNullStreams,
  request: McpRemote['request'],
): Promise<void> {
  await request('initialize', {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'latchkey-tests', version: '1.0.0' },
  })
  write(child, { method: 'notifications/initialized' })
}

async function end(child: ChildProcessWithoutNullStreams): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = new Promise((resolve) => child.once('close', resolve))
  child.kill()
  const timer = setTimeout(() => child.kill('SIGKILL'), 2000)
  await closed
  clearTimeout(timer)
}
