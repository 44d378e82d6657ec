// Owns listening on loopback for the tests' counterparts: a free port, an origin, and a stop that
// leaves no socket behind. What is served is each counterpart's own business.
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A listening loopback server. */
export interface Loopback {
  readonly origin: string
  readonly port: number
  readonly stop: () => Promise<void>
}

export interface LoopbackPlace {
  /** The name in the origin; both mean this machine. */
  readonly host?: 'localhost' | '127.0.0.1'
  /** A fixed port, for a server that comes back where it was; a free one by default. */
  readonly port?: number
}

/** Listens on loopback; `serve` is told the origin first, because an issuer has to know its name. */
export async function listenOnLoopback(
  serve: (origin: string) => RequestListener,
  place: LoopbackPlace = {},
): Promise<Loopback> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(place.port ?? 0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo // a TCP listener always has one
  const origin = `http://${place.host ?? '127.0.0.1'}:${port}`
  server.on('request', serve(origin))
  return { origin, port, stop: () => stopServer(server) }
}

function stopServer(server: ReturnType<typeof createServer>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
