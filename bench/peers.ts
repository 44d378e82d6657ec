// The peers are no dependency of the product's tests, so only the benchmarks install them.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Installs what `bench/package.json` names, unless it is there; no script of theirs is run. */
export function installPeers(): void {
  const isThere = existsSync(join(import.meta.dirname, 'node_modules', '.package-lock.json'))
  const isNew = isThere && spawnSync(npm, ['ls'], how).status === 0
  if (isNew) return
  const run = spawnSync(npm, ['ci', '--ignore-scripts'], {
    ...how,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (run.status !== 0) throw new Error('the peers could not be installed')
}

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
const how = { cwd: import.meta.dirname, shell: process.platform === 'win32' } as const
