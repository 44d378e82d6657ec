// Where the databases of tests lie: in memory, where the host has a place for that with room. A run makes a thousand of
// them, and waiting for a disk that nobody will read again is most of what that costs.
import { accessSync, constants, mkdtempSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Linux's; containers often have one of 64 MB.
const memory = '/dev/shm'
const roomBytes = 2 * 1024 ** 3

let found: string | undefined

/** Makes a folder for one database; whoever made it removes it. */
export function makeDatabaseFolder(name: string): string {
  found ??= hasRoom(memory) ? memory : tmpdir()
  return mkdtempSync(join(found, `latchkey-${name}-`))
}

function hasRoom(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize >= roomBytes
  } catch {
    return false // there is none
  }
}
