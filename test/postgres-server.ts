// A Postgres for the tests: the one that LATCHKEY_TEST_DATABASE_URL names, else a throw-away server made from the host's
// own binaries, else PGlite as a stand-in inside each test's process.
import { spawn } from 'node:child_process'
import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeDatabaseFolder } from './database-folder.ts'

/** A Postgres that the tests may use. `pglite` is only a name: each process makes its own. */
export interface PostgresServer {
  readonly kind: 'given' | 'host' | 'pglite'
  readonly url: string
  readonly stop: () => Promise<void>
}

/** Why there is none. */
export interface NoPostgres {
  readonly kind: 'none'
  readonly because: string
}

/** The address that stands for PGlite. */
export const pgliteUrl = 'pglite:'

const startLimitMs = 30_000
const startsMax = 3

export interface PostgresOptions {
  /** Whether what it commits survives the machine; tests need not wait for that. */
  readonly isDurable?: boolean
}

/** Gives the tests a Postgres; whoever calls this stops it. */
export async function startPostgres(
  options: PostgresOptions = {},
): Promise<PostgresServer | NoPostgres> {
  const given = process.env['LATCHKEY_TEST_DATABASE_URL']
  if (given !== undefined && given !== '') {
    return { kind: given === pgliteUrl ? 'pglite' : 'given', url: given, stop: async () => {} }
  }
  const host = await startOnHost(options)
  if (host.kind !== 'none') return host
  return (await hasPglite()) ? { kind: 'pglite', url: pgliteUrl, stop: async () => {} } : host
}

async function hasPglite(): Promise<boolean> {
  try {
    await import('@electric-sql/pglite')
    return true
  } catch {
    return false // it is an optional tool of the tests
  }
}

/** A server of a test's own, which can be lost in the middle of its work and come back where it was. */
export interface BreakablePostgres {
  readonly kind: 'host'
  readonly url: string
  /** Ends it at once, as a crash does: nothing is flushed, no connection is told. */
  readonly crash: () => Promise<void>
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** Starts one from the host's own binaries. */
export async function startBreakablePostgres(): Promise<BreakablePostgres | NoPostgres> {
  const host = findHost({ isDurable: true })
  if ('because' in host) return host
  await initialize(host)
  const port = await findFreePort()
  let server = await startOn(host, port)
  return {
    kind: 'host',
    url: `postgres://latchkey@127.0.0.1:${port}/postgres`,
    crash: () => endServer(server),
    restart: async () => {
      server = await startOn(host, port)
    },
    stop: () => stopServer(host, server),
  }
}

async function startOnHost(options: PostgresOptions): Promise<PostgresServer | NoPostgres> {
  const host = findHost(options)
  if ('because' in host) return host
  try {
    await initialize(host)
    return await startServer(host)
  } catch (error) {
    host.remove()
    return { kind: 'none', because: `postgres did not start: ${String(error)}` }
  }
}

/** Where and as whom a server can run here, with a folder for it. */
function findHost({ isDurable = false }: PostgresOptions): Host | NoPostgres {
  const binaries = findBinaries()
  if (binaries === undefined) return { kind: 'none', because: 'the host has no postgres binaries' }
  const user = findUser()
  if (user === 'none') return { kind: 'none', because: 'no user but root to run postgres as' }
  const folder = isDurable
    ? mkdtempSync(join(tmpdir(), 'latchkey-postgres-'))
    : makeDatabaseFolder('postgres')
  // Tried again, because a server that is ending still writes.
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  return { binaries, folder, remove, options: { cwd: folder, ...user }, isDurable }
}

interface Host {
  readonly binaries: string
  readonly folder: string
  readonly remove: () => void
  readonly options: SpawnOptions
  readonly isDurable: boolean
}

// Debian keeps the binaries out of PATH, one folder per version.
function findBinaries(): string | undefined {
  const perVersion = '/usr/lib/postgresql'
  const versions = existsSync(perVersion) ? readdirSync(perVersion) : []
  const newestFirst = versions.sort((a, b) => Number(b) - Number(a))
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...newestFirst.map((version) => join(perVersion, version, 'bin')),
    '/usr/local/bin',
  ]
  const hasBoth = (folder: string) =>
    existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres'))
  return folders.find((folder) => folder !== '' && hasBoth(folder))
}

// Postgres refuses to run as root.
function findUser(): { readonly uid: number; readonly gid: number } | undefined | 'none' {
  if (process.getuid?.() !== 0) return undefined
  const lines = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const found = ['postgres', 'nobody']
    .map((name) => lines.find(([user]) => user === name))
    .find((line) => line !== undefined)
  return found === undefined ? 'none' : { uid: Number(found[2]), gid: Number(found[3]) }
}

async function initialize({ binaries, folder, options }: Host): Promise<void> {
  const initdb = spawn(
    join(binaries, 'initdb'),
    [
      '-D',
      join(folder, 'data'),
      '-U',
      'latchkey',
      '--auth=trust',
      '-E',
      'UTF8',
      '--locale=C',
      '-N',
    ],
    { ...options, env: { LC_ALL: 'C' }, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const complaints = collect(initdb)
  const [code] = await once(initdb, 'close')
  if (code !== 0) throw new Error(`initdb: ${complaints()}`)
}

// Nobody can reserve a port for another program, so a taken one is tried again with the next.
async function startServer(host: Host): Promise<PostgresServer> {
  for (let tries = 1; ; tries += 1) {
    const port = await findFreePort()
    try {
      const server = await startOn(host, port)
      return {
        kind: 'host',
        url: `postgres://latchkey@127.0.0.1:${port}/postgres`,
        stop: () => stopServer(host, server),
      }
    } catch (error) {
      if (tries === startsMax) throw error
    }
  }
}

async function startOn(
  { binaries, folder, remove, options, isDurable }: Host,
  port: number,
): Promise<ChildProcess> {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    ...(isDurable ? {} : { fsync: 'off', full_page_writes: 'off', max_wal_size: '256MB' }),
    max_connections: '300',
    autovacuum: 'off',
  }
  const server = spawn(
    join(binaries, 'postgres'),
    [
      '-D',
      join(folder, 'data'),
      '-p',
      String(port),
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    { ...options, env: { LC_ALL: 'C' }, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  stopWithProcess(() => {
    server.kill('SIGQUIT')
    remove()
  })
  const words = collect(server)
  const deadline = performance.now() + startLimitMs
  while (!words().includes('ready to accept connections')) {
    if (server.exitCode !== null || performance.now() > deadline) {
      server.kill('SIGQUIT')
      throw new Error(words())
    }
    await sleep(10)
  }
  letProcessEnd(server)
  return server
}

// A run that is broken off must not leave a server behind.
function stopWithProcess(stop: () => void): void {
  process.once('exit', stop)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      stop()
      process.kill(process.pid, signal)
    })
  }
}

function letProcessEnd(server: ChildProcess): void {
  server.unref()
  const { stderr } = server
  if (stderr instanceof Socket) stderr.unref()
}

async function stopServer({ remove }: Host, server: ChildProcess): Promise<void> {
  await endServer(server)
  remove()
}

async function endServer(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const closed = once(server, 'exit')
  server.ref()
  server.kill('SIGQUIT')
  await closed
}

function collect(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-4_000)
  })
  child.on('error', (error) => {
    text += String(error)
  })
  return () => text
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}
