// For the tests of this room: listeners on loopback that count what reaches them, and an outbound client whose guards are
// on while its resolver and its connector are the test's.
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { systemClock } from './clock.ts'
import { createLog } from './log.ts'
import type { Connector, Outbound } from './outbound.ts'
import { createOutbound } from './outbound.ts'

export interface Listener {
  readonly port: number
  /** How many connections were made to it. */
  readonly connections: () => number
  /** How many HTTP requests it got. */
  readonly requests: () => number
}

/** A listener that must stay untouched: it counts connections and answers nothing. */
export function listenCanary(t: TestContext): Promise<Listener> {
  return listening(t, createTcpServer())
}

/** An HTTP server. */
export function listenHttp(t: TestContext, handler: RequestListener): Promise<Listener> {
  const server = createServer(handler)
  t.after(() => server.closeAllConnections())
  return listening(t, server)
}

/** An HTTPS server with `testCertificate`. */
export function listenHttps(t: TestContext, handler: RequestListener): Promise<Listener> {
  const server = createTlsServer({ cert: testCertificate, key: testKey }, handler)
  t.after(() => server.closeAllConnections())
  return listening(t, server)
}

async function listening(t: TestContext, server: Server): Promise<Listener> {
  const sockets = new Set<Socket>()
  let requests = 0
  server.on('request', () => (requests += 1))
  server.on('connection', (socket) => {
    sockets.add(socket.on('error', () => {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo // a TCP listener has one
  return { port, connections: () => sockets.size, requests: () => requests }
}

export interface World {
  readonly outbound: Outbound
  /** What the connector was asked for, in order. */
  readonly asked: readonly Parameters<Connector>[0][]
  /** Every line of the log. */
  readonly lines: readonly string[]
  /** The names that were looked up, in order. */
  readonly lookups: readonly string[]
}

export interface WorldSettings {
  /** What a name resolves to; a name that is not here does not exist. */
  readonly names?: Readonly<Record<string, readonly string[] | (() => readonly string[])>>
  /** The port on 127.0.0.1 behind an address. */
  readonly ports?: Readonly<Record<string, number>>
  /** The port behind every other address. */
  readonly port: number
  readonly allow?: readonly string[]
  readonly openPorts?: readonly number[]
}

/** An outbound client in a world of the test's making. */
export function createWorld(t: TestContext, settings: WorldSettings): World {
  const { names = {}, ports = {}, port, allow = [], openPorts = [] } = settings
  const asked: Parameters<Connector>[0][] = []
  const lines: string[] = []
  const lookups: string[] = []
  const needs = {
    log: createLog('debug', (line) => void lines.push(line)),
    clock: systemClock,
    resolve: async (name: string) => {
      lookups.push(name)
      const found = names[name]
      if (found === undefined) throw new Error('ENOTFOUND')
      return typeof found === 'function' ? found() : found
    },
    connect: (target: Parameters<Connector>[0]) => {
      asked.push(target)
      return { address: '127.0.0.1', port: ports[target.address] ?? port }
    },
  }
  const outbound = createOutbound(needs, { allow, ports: openPorts })
  t.after(() => outbound.close())
  return { outbound, asked, lines, lookups }
}

/** For server.example and 127.0.0.1, until 2126; its key is here for all to see and guards nothing. */
export const testCertificate = `-----BEGIN CERTIFICATE-----
MIIBqzCCAVCgAwIBAgIUD/skIQphUdlr2950f1vnnRRSL/wwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOc2VydmVyLmV4YW1wbGUwIBcNMjYxMTIxMDkwOTE1WhgPMjEy
NjEwMjgwOTA5MTVaMBkxFzAVBgNVBAMMDnNlcnZlci5leGFtcGxlMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEM4O1+3HbO+ckOEZ3qeUIUvLy89V9kwuxSgpRa21s
f0kHyacrUgPcq0C47kUzlPrYUm13+yqZJeOlWhUrejer2KN0MHIwHQYDVR0OBBYE
FIiWXvyMA/Fah0U8KXWz93Z7lofYMB8GA1UdIwQYMBaAFIiWXvyMA/Fah0U8KXWz
93Z7lofYMA8GA1UdEwEB/wQFMAMBAf8wHwYDVR0RBBgwFoIOc2VydmVyLmV4YW1w
bGWHBH8AAAEwCgYIKoZIzj0EAwIDSQAwRgIhALLR1lVTdYSGrjAzGUKQot8SR7KB
NGMsJwOK0nwwwdjwAiEA1uJZTou3xe4X27dozP9FrIGHFZpJOCT15cBla94oBQo=
-----END CERTIFICATE-----`

const testKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGGxZV4KPjW324OeU
KcOGryWFXVujxF3i5qmtNC5KasWhRANCAAQzg7X7cds75yQ4Rnep5QhS8vLz1X2T
C7FKClFrbWx/SQfJpytSA9yrQLjuRTOU+thSbXf7Kpkl46VaFSt6N6vY
-----END PRIVATE KEY-----`
