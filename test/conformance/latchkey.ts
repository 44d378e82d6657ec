// The Latchkey that the conformance suite looks at: the product as a process of its own, on a fresh data folder, with its
// operator signed in and one API key.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort, operator, restAs, signIn } from '../harness.ts'
import type { Access } from './connection.ts'

/** A Latchkey that runs. */
export interface RunningLatchkey {
  readonly access: Access
  readonly stop: () => Promise<void>
}

const root = join(import.meta.dirname, '..', '..')
const startMaxMs = 60_000
const stopMaxMs = 10_000

/** Starts it and signs the operator in; its log goes to `latchkey.log` in this folder. */
export async function startLatchkey(resultsFolder: string): Promise<RunningLatchkey> {
  const dataFolder = mkdtempSync(join(tmpdir(), 'latchkey-conformance-'))
  const port = await freePort()
  const origin = `http://localhost:${port}`
  const workloadFolder = join(dataFolder, 'workload')
  mkdirSync(workloadFolder)
  const child = spawn(process.execPath, [join(root, 'src/cli/entry.ts'), 'start'], {
    // Neither a latchkey.yaml nor settings of whoever runs this may reach it.
    cwd: dataFolder,
    env: {
      PATH: process.env['PATH'] ?? '',
      ...settings(origin, port),
      LATCHKEY_WORKLOAD_TOKENS: workloadFolder,
    },
  })
  const stop = () => stopProcess(child, dataFolder)
  // The log holds what Latchkey said about every scenario; a failure is understood from there.
  child.stderr.pipe(createWriteStream(join(resultsFolder, 'latchkey.log')))
  try {
    await untilReady(child)
    return { access: { ...(await getAccess(origin)), workloadFolder, run: '' }, stop }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

function settings(origin: string, port: number): Readonly<Record<string, string>> {
  return {
    LATCHKEY_PUBLIC_URL: origin,
    LATCHKEY_LISTEN: `127.0.0.1:${port}`,
    LATCHKEY_OPERATOR_EMAIL: operator.email,
    LATCHKEY_OPERATOR_PASSWORD: operator.password,
    // The suite's servers are http on this machine.
    LATCHKEY_ALLOW_PRIVATE_NETWORKS: 'loopback',
    // All runs are one person's, and take minutes together.
    LATCHKEY_LIMIT_CALLS_PER_MINUTE: '10000',
  }
}

async function untilReady(child: ReturnType<typeof spawn>): Promise<void> {
  if (child.stdout === null) throw new Error('the process has no output')
  const lines = createInterface({ input: child.stdout })
  const ended = once(child, 'exit').then(() => 'ended' as const)
  const ready = new Promise<'ready'>((resolve) => {
    lines.on('line', (line) => line.includes('is ready at') && resolve('ready'))
  })
  const outcome = await Promise.race([ready, ended, after(startMaxMs, 'late' as const)])
  if (outcome !== 'ready')
    throw new Error(`Latchkey did not start (${outcome}); latchkey.log says why`)
}

async function getAccess(origin: string): Promise<Omit<Access, 'workloadFolder' | 'run'>> {
  const browser = await signIn(origin)
  const { status, body } = await restAs(browser, origin)('POST', '/api-keys', {
    name: 'conformance',
    scopes: ['api', 'connections:token'],
  })
  if (status !== 201) throw new Error(`no API key was made: ${status} ${JSON.stringify(body)}`)
  const cookie = browser
    .cookies()
    .map(({ name, value }) => `${name}=${value}`)
    .join('; ')
  return { origin, cookie, apiKey: body.key }
}

async function stopProcess(child: ChildProcess, dataFolder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    const outcome = await Promise.race([ended, after(stopMaxMs, 'late' as const)])
    if (outcome === 'late') child.kill('SIGKILL')
    await ended
  }
  rmSync(dataFolder, { recursive: true, force: true })
}

/** A limit for a wait; it does not keep the process alive. */
function after<T>(ms: number, value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(resolve, ms, value).unref())
}
