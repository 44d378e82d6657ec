// A stream of events as it comes: block by block, each without the empty line that ends it.

/** Gives the blocks of a body until its end. */
export async function* readBlocks(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true })
    const parts = text.split('\n\n')
    text = parts.pop() ?? ''
    yield* parts
  }
}
