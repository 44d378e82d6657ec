// Opening and closing the port.
import type { Server } from 'node:http'

export interface ListenPlace {
  readonly host: string
  readonly port: number
}

const drainMs = 2000

/** Opens the port; port 0 takes a free one, which the answer names. Rejects when it is taken. */
export function listen(listener: Server, { host, port }: ListenPlace): Promise<ListenPlace> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(port, host, () => {
      listener.off('error', reject)
      const address = listener.address()
      const isTcp = typeof address === 'object' && address !== null
      resolve({ host, port: isTcp ? address.port : port })
    })
  })
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
