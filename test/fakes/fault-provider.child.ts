// A fault provider in a process of its own, told what to do over the channel to the process that started it, and ended
// with that channel.
import { startFaultProvider, type FaultProvider, type Hold } from './fault-provider.ts'
import type { Call, Reply } from './fault-provider-process.ts'

const provider = await startFaultProvider()
const holds: Hold[] = []

const holding: Readonly<Record<string, (...given: never[]) => unknown>> = {
  hold: (...place: Parameters<FaultProvider['hold']>) => holds.push(provider.hold(...place)) - 1,
  arrived: (at: number) => holds[at]?.arrived,
  release: (at: number) => holds[at]?.release(),
  sent: (at: number) => holds[at]?.sent,
}

process.on('message', ({ id, name, given }: Call) => {
  void perform(name, given).then(
    (value) => reply({ id, value }),
    (error: unknown) => reply({ id, error: String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
reply({ id: 0, value: provider.origin })

async function perform(name: string, given: readonly unknown[]): Promise<unknown> {
  const work = holding[name] ?? provider[name as 'stop'] // Remote has these names only
  return (work as (...given: readonly unknown[]) => unknown)(...given)
}

function reply(answer: Reply): void {
  process.send?.(answer)
}
