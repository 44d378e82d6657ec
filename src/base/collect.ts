// Takes in a stream of bytes up to a limit, for everybody who must not let others fill the memory.

/** All of it; undefined as soon as it is known to be longer than the limit. */
export async function collectUpTo(
  chunks: AsyncIterable<Uint8Array>,
  limitBytes: number,
): Promise<Buffer | undefined> {
  const collected: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.byteLength
    if (bytes > limitBytes) return undefined
    collected.push(chunk)
  }
  return Buffer.concat(collected, bytes)
}
