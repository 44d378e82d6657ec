// A real Latchkey from the sources: loaded and waiting, so that a rig which kills many does not wait for each to load. It
// starts when it is told the settings, and tells its memory when it is asked.
import module from 'node:module'
import { keepHeapTight } from '../../src/cli/heap.ts'

/** What a rig says to it. */
export type Order =
  | { readonly kind: 'start'; readonly settings: Readonly<Record<string, string>> }
  | { readonly kind: 'memory' }

/** What it says to its rig. */
export type Word =
  | { readonly kind: 'loaded' | 'ready' }
  | { readonly kind: 'memory'; readonly bytes: number }

module.enableCompileCache()
keepHeapTight()
const { start } = await import('../../src/cli/start.ts')

process.on('disconnect', () => process.exit(0))
process.on('message', (order: Order) => {
  if (order.kind === 'memory') return say({ kind: 'memory', bytes: process.memoryUsage.rss() })
  void start(order.settings).then(() => say({ kind: 'ready' }))
})
say({ kind: 'loaded' })

function say(word: Word): void {
  process.send?.(word)
}
