// Starts the fault provider in a process of its own and gives the same handles, each of them a promise: for rigs that kill
// and load their own process, or want the provider's work on another core.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

import type { FaultProvider, Faults, Hold } from './fault-provider.ts'

/** One thing to do there; `given` may hold whatever a structured clone can. */
export interface Call {
  readonly id: number
  readonly name: string
  readonly given: readonly unknown[]
}

export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string }

type Remote<T> = {
  readonly [Name in keyof T]: T[Name] extends (...given: infer Given) => infer Result
    ? (...given: Given) => Promise<Awaited<Result>>
    : T[Name]
}

/** A fault provider elsewhere. */
export interface FaultProviderProcess extends Remote<Omit<FaultProvider, 'hold'>> {
  readonly pid: number
  readonly hold: (...place: Parameters<FaultProvider['hold']>) => Promise<Omit<Hold, 'stopAt'>>
}

/** Starts it; it ends by `stop`, or with the process that started it. */
export async function startFaultProviderProcess(
  initial: Partial<Faults> = {},
): Promise<FaultProviderProcess> {
  const file = join(import.meta.dirname, 'fault-provider.child.ts')
  const child = fork(file, { serialization: 'advanced' })
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  let lastId = 0
  const expect = (id: number) => {
    const waiter = Promise.withResolvers<unknown>()
    waiting.set(id, waiter)
    return waiter.promise
  }
  child.on('message', (reply: Reply) => {
    const waiter = waiting.get(reply.id)
    waiting.delete(reply.id)
    if ('error' in reply) waiter?.reject(new Error(reply.error))
    else waiter?.resolve(reply.value)
  })
  child.once('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`the provider ended with ${code}`))
  })
  const tell = (name: string, ...given: readonly unknown[]): Promise<never> => {
    const id = (lastId += 1)
    child.send({ id, name, given } satisfies Call)
    return expect(id) as Promise<never> // the child answers as the provider does
  }
  const origin = String(await expect(lastId))
  await tell('set', initial)
  return {
    origin,
    issuer: origin,
    mcpUrl: `${origin}/mcp`,
    pid: child.pid ?? 0,
    set: (faults) => tell('set', faults),
    requests: () => tell('requests'),
    tokenRequests: () => tell('tokenRequests'),
    registrations: () => tell('registrations'),
    issued: () => tell('issued'),
    isLive: (token) => tell('isLive', token),
    familyOf: (token) => tell('familyOf', token),
    mostAtOnce: () => tell('mostAtOnce'),
    expireAccessTokens: () => tell('expireAccessTokens'),
    forgetClients: () => tell('forgetClients'),
    grant: (count) => tell('grant', count),
    hold: async (...place) => {
      const at: number = await tell('hold', ...place)
      return {
        arrived: tell('arrived', at),
        release: () => void tell('release', at),
        sent: tell('sent', at),
      }
    },
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.disconnect()
      await ended
    },
  }
}
