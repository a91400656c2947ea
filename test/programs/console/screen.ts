/**
 * As much of a terminal as our output needs: what a person would see of it.
 */
export interface Screen {
  readonly write: (text: string) => void
  /** Everything that was ever shown, the lines that scrolled away first. */
  readonly lines: () => ReadonlyArray<string>
  readonly cursorVisible: () => boolean
  /** Control sequences that are none of those known here. */
  readonly unknown: ReadonlyArray<string>
}

/** Every character is one column wide: for widths, `TerminalText` has tests of its own. */
export const make = (columns: number): Screen => {
  let cells: Array<Array<string>> = [[]]
  let row = 0
  let column = 0
  let visible = true
  const unknown: Array<string> = []
  const lineAt = (index: number) => {
    while (cells.length <= index) cells.push([])
    return cells[index]!
  }
  const sequence = (body: string, final: string) => {
    if (final === "m" || body.startsWith("?2026")) return
    if (body === "?25") visible = final === "h"
    else if (final === "A") row = Math.max(0, row - Number(body || 1))
    else if (final === "J" && body === "") {
      cells = cells.slice(0, row + 1)
      lineAt(row).length = column
    } else unknown.push(`${body}${final}`)
  }
  return {
    write: (text) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what a terminal reads
      for (const [token, body, final] of text.matchAll(/\u001b\[([0-?]*)([@-~])|[\s\S]/gu)) {
        if (final !== undefined) sequence(body ?? "", final)
        else if (token === "\n") {
          row++
          column = 0
          lineAt(row)
        } else if (token === "\r") column = 0
        else {
          if (column >= columns) {
            row++
            column = 0
          }
          const line = lineAt(row)
          while (line.length < column) line.push(" ")
          line[column++] = token
        }
      }
    },
    lines: () => cells.map((line) => line.join("").trimEnd()),
    cursorVisible: () => visible,
    unknown
  }
}
