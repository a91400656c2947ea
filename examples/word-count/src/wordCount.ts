/** How often each word of a text occurs, the most frequent first. Words are letters and digits of any script, case is ignored. */
export const wordCount = (text: string): ReadonlyArray<readonly [word: string, count: number]> => {
  const counts = new Map<string, number>()
  for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}]+/gu)) counts.set(word, (counts.get(word) ?? 0) + 1)
  return [...counts].sort(([a, m], [b, n]) => n - m || a.localeCompare(b))
}
