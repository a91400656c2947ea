/**
 * Columns of text.
 */
import * as TerminalText from "../../console/internal/TerminalText.ts"

/** @category formatting */
export const render = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const all = [head, ...rows].map((row) => row.map(TerminalText.inOneLine))
  const widths = head.map((_, column) => Math.max(...all.map((row) => TerminalText.width(row[column] ?? ""))))
  return all
    .map((row) =>
      row
        .map((cell, column) => TerminalText.pad(cell, widths[column] ?? 0))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}
