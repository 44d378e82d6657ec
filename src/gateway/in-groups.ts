// Many things at once, but not all of them.

/** Works on all, so many at once; the answers come in the order of what was given. */
export async function inGroups<T, R>(
  all: readonly T[],
  atOnce: number,
  work: (one: T) => Promise<R>,
): Promise<readonly R[]> {
  const answers: R[] = []
  const indexes = all.keys()
  const worker = async () => {
    for (const index of indexes) {
      const one = all[index]
      if (one !== undefined) answers[index] = await work(one)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, all.length) }, worker))
  return answers
}
