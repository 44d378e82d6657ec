// Installs what is missing before `npm start` and `npm test`, so that a fresh clone needs one command.
// Runs on the host's own Node (18 and up), because ours is not there yet.
'use strict'
const { existsSync, statSync, utimesSync } = require('node:fs')
const { join } = require('node:path')
const { spawnSync } = require('node:child_process')

const root = join(__dirname, '..')
const lockfile = join(root, 'package-lock.json')
// npm writes this file at the end of each install: its age is the age of the install.
const installed = join(root, 'node_modules', '.package-lock.json')

if (!isFresh()) {
  console.log('Installing dependencies (npm ci --ignore-scripts) …')
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const run = spawnSync(npm, ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  })
  if (run.status !== 0) {
    console.error('The dependencies could not be installed; what npm said is above.')
    process.exit(run.status === null ? 1 : run.status)
  }
  const now = new Date()
  utimesSync(installed, now, now)
}

function isFresh() {
  if (!existsSync(installed)) return false
  return statSync(installed).mtimeMs >= statSync(lockfile).mtimeMs
}
