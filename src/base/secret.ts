// A value that cannot be printed by accident. `reveal` is the only way to it, and easy to search for.
import { inspect } from 'node:util'

const redacted = '[redacted]'

/** Holds a secret text; every way of printing it gives `[redacted]`. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return redacted
  }

  toJSON(): string {
    return redacted
  }

  [Symbol.toPrimitive](): string {
    return redacted
  }

  [inspect.custom](): string {
    return redacted
  }
}
