/**
 * Patterns for paths, as Go's `filepath.Match` and moby's `patternmatcher` understand them.
 *
 * All states are followed at once, so the time is at most the product of the lengths: a regular expression made of somebody else's
 * pattern can take for ever.
 */
import * as Result from "effect/Result"

interface CharacterClass {
  readonly negated: boolean
  readonly ranges: ReadonlyArray<readonly [low: string, high: string]>
}

export type Token =
  | { readonly kind: "character"; readonly character: string }
  /** One character but `/`. */
  | { readonly kind: "one" }
  /** Any characters but `/`. */
  | { readonly kind: "some" }
  /** Any characters. */
  | { readonly kind: "any" }
  /** Nothing, or any characters up to a `/`. */
  | { readonly kind: "directories" }
  | { readonly kind: "class"; readonly of: CharacterClass }

const bad = Result.fail("syntax error in pattern")

/** `deep`: `**` matches across directories, as in `.dockerignore`. */
export const parseGlob = (pattern: string, deep: boolean): Result.Result<ReadonlyArray<Token>, string> => {
  const characters = [...pattern]
  const tokens: Array<Token> = []
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index]!
    if (character === "*" && deep && characters[index + 1] === "*") {
      index += characters[index + 2] === "/" ? 2 : 1
      const kind = index + 1 >= characters.length ? "any" : "directories"
      if (tokens.at(-1)?.kind !== kind) tokens.push({ kind })
    } else if (character === "*") {
      if (tokens.at(-1)?.kind !== "some") tokens.push({ kind: "some" })
    } else if (character === "?") {
      tokens.push({ kind: "one" })
    } else if (character === "[") {
      const parsed = parseClass(characters, index + 1)
      if (parsed === undefined) return bad
      tokens.push({ kind: "class", of: parsed.of })
      index = parsed.end
    } else if (character === "\\") {
      const escaped = characters[++index]
      if (escaped === undefined) return bad
      tokens.push({ kind: "character", character: escaped })
    } else {
      tokens.push({ kind: "character", character })
    }
  }
  return Result.succeed(tokens)
}

const parseClass = (
  characters: ReadonlyArray<string>,
  start: number
): { readonly of: CharacterClass; readonly end: number } | undefined => {
  let index = start
  const negated = characters[index] === "^"
  if (negated) index++
  const ranges: Array<readonly [string, string]> = []
  const bound = (): string | undefined => {
    const character = characters[index]
    if (character === undefined || character === "-" || character === "]") return undefined
    index += character === "\\" ? 2 : 1
    return character === "\\" ? characters[index - 1] : character
  }
  while (characters[index] !== "]" || ranges.length === 0) {
    const low = bound()
    if (low === undefined) return undefined
    let high: string | undefined = low
    if (characters[index] === "-") {
      index++
      high = bound()
    }
    if (high === undefined || characters[index] === undefined) return undefined
    ranges.push([low, high])
  }
  return { of: { negated, ranges }, end: index }
}

export const matchesGlob = (tokens: ReadonlyArray<Token>, path: string): boolean => {
  let states = new Set<number>()
  enter(states, 0, tokens)
  for (const character of path) {
    const next = new Set<number>()
    for (const state of states) {
      const token = tokens[state]
      if (token !== undefined) step(token, state, character, next, tokens)
    }
    if (next.size === 0) return false
    states = next
  }
  return states.has(tokens.length)
}

const step = (
  token: Token,
  state: number,
  character: string,
  next: Set<number>,
  tokens: ReadonlyArray<Token>
): void => {
  switch (token.kind) {
    case "character":
      if (token.character === character) enter(next, state + 1, tokens)
      return
    case "one":
      if (character !== "/") enter(next, state + 1, tokens)
      return
    case "some":
      if (character !== "/") enter(next, state, tokens)
      return
    case "any":
      enter(next, state, tokens)
      return
    case "directories":
      // In the middle of a directory's name nothing else may begin.
      next.add(state)
      if (character === "/") enter(next, state + 1, tokens)
      return
    case "class": {
      const inside = token.of.ranges.some(([low, high]) => low <= character && character <= high)
      if (inside !== token.of.negated) enter(next, state + 1, tokens)
    }
  }
}

/** Adds a state, and those behind tokens that match nothing. */
const enter = (states: Set<number>, first: number, tokens: ReadonlyArray<Token>): void => {
  for (let state = first; ; state++) {
    states.add(state)
    const kind = tokens[state]?.kind
    if (kind !== "some" && kind !== "any" && kind !== "directories") return
  }
}
