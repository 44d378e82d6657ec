#!/usr/bin/env node
// Starts the command line on a Node that can run it: the host's if it is new enough, else the bundled one.
'use strict'
const { spawn } = require('node:child_process')
const { existsSync } = require('node:fs')
const { join } = require('node:path')
const { pathToFileURL } = require('node:url')

const [oldestMajor, oldestMinor] = [24, 10]
// The package has compiled files only, because Node strips no types below node_modules; a checkout has only sources.
const compiled = join(__dirname, '..', 'cli', 'entry.js')
const entry = existsSync(compiled) ? compiled : join(__dirname, '..', 'src', 'cli', 'entry.ts')

const [major, minor] = process.versions.node.split('.').map(Number)
if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) {
  import(pathToFileURL(entry).href)
} else {
  runBundled()
}

/** The child is the program: it gets our signals, and its end is ours. */
function runBundled() {
  const name = process.platform === 'win32' ? 'node.cmd' : 'node'
  const node = join(__dirname, '..', 'node_modules', '.bin', name)
  const child = spawn(node, [entry, ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => child.kill(signal))
  }
  child.on('error', () => {
    console.error('Run "npm ci --ignore-scripts" in this folder first: the Node it brings is not there.')
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code === null ? 1 : code)
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(name)
    process.kill(process.pid, signal)
  })
}
