// Opening and closing the port.
import type { Server } from 'node:http'

export interface ListenPlace {
  readonly host: string
  readonly port: number
}

const drainMs = 2000

/** Opens the port. Throws an Error in plain words when it cannot be had; `settings` are those that choose another. */
export function listen(
  listener: Server,
  { host, port }: ListenPlace,
  settings: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    listener.once('error', (cause: NodeJS.ErrnoException) => {
      reject(new Error(wordsFor(cause, { host, port }, settings), { cause }))
    })
    listener.listen(port, host, () => {
      listener.removeAllListeners('error')
      resolve()
    })
  })
}

function wordsFor(
  { code, message }: NodeJS.ErrnoException,
  { host, port }: ListenPlace,
  settings: string,
): string {
  const other = `Choose another with ${settings}.`
  if (code === 'EADDRINUSE') {
    return `Port ${port} on ${host} is taken, perhaps by another Latchkey. ${other}`
  }
  if (code === 'EACCES')
    return `Port ${port} on ${host} needs rights that this user has not. ${other}`
  if (code === 'EADDRNOTAVAIL') return `This machine has no address ${host}. ${other}`
  return `Port ${port} on ${host} cannot be opened: ${message}. ${other}`
}

/** Lets what runs finish for a moment, then closes what is left, such as open streams. */
export async function stopListening(listener: Server): Promise<void> {
  if (!listener.listening) return
  const closed = new Promise<void>((resolve) => {
    listener.close(() => resolve())
  })
  listener.closeIdleConnections()
  const force = setTimeout(() => listener.closeAllConnections(), drainMs)
  await closed
  clearTimeout(force)
}
