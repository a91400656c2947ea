import * as LineSplitter from "../LineSplitter.ts"

/** How many lines of a step its result keeps. */
const maxLines = 20
/** A longer line is cut: a result must not hold a megabyte of progress bar. */
const maxLength = 2000

/** The last lines of a step, both streams, in the order in which they were completed. */
export const makeTail = () => {
  const splitters = { stdout: LineSplitter.make(), stderr: LineSplitter.make() }
  let lines: Array<string> = []
  const add = (more: ReadonlyArray<string>) => {
    if (more.length === 0) return
    lines = lines.concat(more.slice(-maxLines)).slice(-maxLines)
  }
  return {
    push: (stream: "stdout" | "stderr", bytes: Uint8Array) => add(splitters[stream].push(bytes)),
    lines: (): ReadonlyArray<string> => {
      add(splitters.stdout.flush())
      add(splitters.stderr.flush())
      return lines.map((line) => (line.length > maxLength ? `${line.slice(0, maxLength - 1)}…` : line))
    }
  }
}
