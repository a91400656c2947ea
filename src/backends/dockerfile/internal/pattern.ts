/**
 * The patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`: `*` and `?` match anything within a line, `\` takes
 * the next character as it is. No regular expressions of JavaScript: those of a hostile Dockerfile would never end.
 */
import * as Result from "effect/Result"

type Token = "*" | "?" | { readonly character: string }

/** `subject` times `pattern`, above which a search for a replacement would take too long. */
const maxWork = 16_000_000

/** Cuts what matches at one end: the shortest, or the longest if greedy. */
export const trimPattern = (
  subject: string,
  pattern: string,
  end: "start" | "end",
  greedy: boolean
): Result.Result<string, string> =>
  Result.flatMap(parse(pattern), (tokens) => {
    const characters = [...subject]
    if (characters.length * tokens.length > maxWork) return Result.fail("the pattern takes too long")
    const backwards = end === "end"
    const length = match(
      backwards ? characters.reverse() : characters,
      0,
      backwards ? [...tokens].reverse() : tokens,
      greedy
    )
    const rest = length === undefined ? characters : characters.slice(length)
    return Result.succeed((backwards ? rest.reverse() : rest).join(""))
  })

/** Replaces the longest match at the leftmost place, or all of them. */
export const replacePattern = (
  subject: string,
  pattern: string,
  by: string,
  all: boolean
): Result.Result<string, string> =>
  Result.flatMap(parse(pattern), (tokens) => {
    const characters = [...subject]
    if (characters.length ** 2 * (tokens.length + 1) > maxWork) return Result.fail("the pattern takes too long")
    // In RE2, whose ReplaceAll BuildKit calls, `$1` in the replacement is a group, and there are none.
    const text = all ? by.replace(/\$(?:\$|\w+|\{\w+\})/g, (group) => (group === "$$" ? "$" : "")) : by
    let result = ""
    let afterMatch = false
    for (let index = 0; index <= characters.length; ) {
      const length = match(characters, index, tokens, true)
      if (length !== undefined && !(length === 0 && afterMatch)) {
        result += text
        if (!all) return Result.succeed(result + characters.slice(index + length).join(""))
        index += length
        afterMatch = length > 0
        if (length > 0) continue
      }
      afterMatch = false
      result += characters[index] ?? ""
      index++
    }
    return Result.succeed(result)
  })

const parse = (pattern: string): Result.Result<ReadonlyArray<Token>, string> => {
  const tokens: Array<Token> = []
  const characters = [...pattern]
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index]!
    if (character === "*" || character === "?") tokens.push(character)
    else if (character !== "\\") tokens.push({ character })
    else {
      const next = characters[index + 1]
      // What ends the substitution is escaped for it, not for the pattern.
      if (next === "}" || next === "/") continue
      if (next !== "*" && next !== "?" && next !== "\\") {
        return Result.fail(`invalid pattern (${pattern}) in substitution: invalid escape '\\${next ?? ""}'`)
      }
      tokens.push({ character: next })
      index++
    }
  }
  return Result.succeed(tokens)
}

/** How many characters from `start` on match, if any do: all states at once, so the time is the product of the lengths. */
const match = (
  characters: ReadonlyArray<string>,
  start: number,
  tokens: ReadonlyArray<Token>,
  greedy: boolean
): number | undefined => {
  let states = closure(new Set([0]), tokens)
  let found: number | undefined
  for (let index = start; ; index++) {
    if (states.has(tokens.length)) {
      found = index - start
      if (!greedy) return found
    }
    const character = characters[index]
    if (character === undefined || states.size === 0) return found
    const next = new Set<number>()
    for (const state of states) {
      const token = tokens[state]
      if (token === undefined) continue
      if (token === "*") {
        if (character !== "\n") next.add(state)
      } else if (token === "?" ? character !== "\n" : token.character === character) next.add(state + 1)
    }
    states = closure(next, tokens)
  }
}

/** A star may match nothing. */
const closure = (states: Set<number>, tokens: ReadonlyArray<Token>): Set<number> => {
  for (const state of states) if (tokens[state] === "*") states.add(state + 1)
  return states
}
