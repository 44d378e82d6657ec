#!/usr/bin/env node
// Starts the command line on a Node that can run it: the host's if it is new enough, else the bundled one.
'use strict'
const { spawnSync } = require('node:child_process')
const { join } = require('node:path')

const entry = join(__dirname, '..', 'src', 'cli', 'entry.ts')
const hostMajor = Number(process.versions.node.split('.')[0])

if (hostMajor >= 24) {
  import(require('node:url').pathToFileURL(entry).href)
} else {
  const run = spawnSync(bundledNode(), [entry, ...process.argv.slice(2)], { stdio: 'inherit' })
  process.exit(run.status === null ? 1 : run.status)
}

function bundledNode() {
  const name = process.platform === 'win32' ? 'node.cmd' : 'node'
  return join(__dirname, '..', 'node_modules', '.bin', name)
}
