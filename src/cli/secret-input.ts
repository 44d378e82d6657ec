// Reads a secret that must not be a word of the command: from a pipe, or from a person without showing what they type.
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { Secret } from '../base/secret.ts'

const charactersMax = 16_384

/** The secret; undefined when the person gives up. Throws an Error in words for none, or for more than one line. */
export async function readSecret(
  input: NodeJS.ReadStream = process.stdin,
): Promise<Secret | undefined> {
  const text = input.isTTY ? await askHidden(input) : await readAll(input)
  if (text === undefined) return undefined
  const secret = text.trim()
  if (secret === '')
    throw new Error('Nothing came in. Pipe the token in, or run this in a terminal.')
  if (/\s/.test(secret)) throw new Error('One token at a time, please: there is space inside this.')
  return new Secret(secret)
}

async function readAll(input: NodeJS.ReadStream): Promise<string> {
  let text = ''
  for await (const chunk of input) {
    text += String(chunk)
    if (text.length > charactersMax) throw new Error('This is too long to be a token.')
  }
  return text
}

/** The line is edited in a place that shows nothing. */
async function askHidden(input: NodeJS.ReadStream): Promise<string | undefined> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input, output: nowhere, terminal: true })
  // Only now is the terminal's own echo off.
  process.stderr.write('Token (it is not shown): ')
  const givenUp = new Promise<undefined>((resolve) => {
    lines.once('SIGINT', () => resolve(undefined))
    lines.once('close', () => resolve(undefined))
  })
  try {
    return await Promise.race([lines.question(''), givenUp])
  } finally {
    lines.close()
    process.stderr.write('\n')
  }
}
