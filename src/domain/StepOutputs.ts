/**
 * The file format in which a step writes its outputs: GitHub's, as of actions/runner 2.336.
 *
 * A line is `NAME=VALUE`, or opens a block `NAME<<DELIMITER` that ends with a line that is only the delimiter. Which of the two it is,
 * is told by which of `=` and `<<` comes first. Empty lines are skipped. Lines end at `\n`: a `\r` is part of the value, or of the delimiter, on
 * Linux and macOS, where the runner does the same.
 */
import * as Result from "effect/Result"

/** The variable that names the file. */
export const variable = "JOBSCOPE_OUTPUT"

/** Name of the file among the step's files. */
export const fileName = "jobscope_output"

/**
 * Reads the file; the failure is a sentence with the line's number. A name that is set twice has its last value.
 *
 * @category parsing
 */
export const parse = (text: string): Result.Result<Record<string, string>, string> => {
  const lines = text.split("\n")
  const entries = new Map<string, string>()
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index]!
    if (line === "") continue
    const equals = line.indexOf("=")
    const heredoc = line.indexOf("<<")
    if (equals >= 0 && (heredoc < 0 || equals < heredoc)) {
      if (equals === 0) return Result.fail(`line ${index + 1}: no name before "="`)
      entries.set(line.slice(0, equals), line.slice(equals + 1))
    } else if (heredoc >= 0) {
      const name = line.slice(0, heredoc)
      const delimiter = line.slice(heredoc + 2)
      if (name === "") return Result.fail(`line ${index + 1}: no name before "<<"`)
      if (delimiter === "") return Result.fail(`line ${index + 1}: no delimiter after "<<"`)
      const end = lines.indexOf(delimiter, index + 1)
      if (end < 0) return Result.fail(`line ${index + 1}: the delimiter "${delimiter}" never comes`)
      entries.set(name, lines.slice(index + 1, end).join("\n"))
      index = end
    } else {
      return Result.fail(`line ${index + 1}: expected NAME=VALUE or NAME<<DELIMITER`)
    }
  }
  return Result.succeed(Object.fromEntries(entries))
}

/**
 * Writes one output so that `parse` reads it back. The failure, a sentence, is for a name that the format cannot hold, and for a delimiter
 * that is a line of the value: choose a random one.
 *
 * @category encoding
 */
export const render = (name: string, value: string, delimiter: string): Result.Result<string, string> => {
  if (name === "" || /=|<<|\n/.test(name)) {
    return Result.fail(`the name ${JSON.stringify(name)} is empty, or has "=", "<<" or a line end in it`)
  }
  if (!value.includes("\n")) return Result.succeed(`${name}=${value}\n`)
  return value.split("\n").includes(delimiter)
    ? Result.fail(`the delimiter ${JSON.stringify(delimiter)} is a line of the value`)
    : Result.succeed(`${name}<<${delimiter}\n${value}\n${delimiter}\n`)
}
