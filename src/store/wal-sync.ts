// Puts the write-ahead log of a SQLite file on disk from a thread of the pool. A commit is a few pages at the end of that
// log, each with a checksum: what is on disk up to there is what the next start reads, whatever was lost after it.
import { closeSync, fdatasync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import type { Sync } from './group-commit.ts'

const sync = promisify(fdatasync)

/** The log of a database that is open: it is made with the first connection and stays until the last one is closed. */
export function openWal(file: string): { readonly sync: Sync; readonly close: () => void } {
  // Windows lets nobody sync what they may not write. SQLite locks other files, so closing this one frees no lock of its.
  const log = openSync(`${file}-wal`, 'r+')
  syncName(dirname(file))
  return { sync: () => sync(log), close: () => closeSync(log) }
}

/** A new file is there after a power cut only if its folder was put on disk as well. */
export function syncName(folder: string): void {
  if (process.platform === 'win32') return // It keeps names by itself and opens no folder.
  const opened = openSync(folder, 'r')
  try {
    fsyncSync(opened)
  } finally {
    closeSync(opened)
  }
}
