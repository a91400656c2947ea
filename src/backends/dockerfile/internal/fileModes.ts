/** The modes of `--chmod`: octal, or symbolic as `chmod` has them. */

const clause = /^([ugoa]*)((?:[-+=][rwxXst]*)+)$/

/** Whether a text is a mode. */
export const isMode = (mode: string): boolean =>
  /^[0-7]{1,5}$/.test(mode) ? Number.parseInt(mode, 8) <= 0o7777 : mode.split(",").every((part) => clause.test(part))

/** A file's mode after it was changed. */
export const changeMode = (mode: string, before: number, isDirectory: boolean): number => {
  if (/^[0-7]+$/.test(mode)) return Number.parseInt(mode, 8)
  let bits = before
  for (const part of mode.split(",")) {
    const [, who = "", operations = ""] = clause.exec(part) ?? []
    const everybody = who === "" || who.includes("a")
    const classes = { u: 0o700, g: 0o070, o: 0o007 }
    const mask = everybody
      ? 0o777
      : Object.entries(classes).reduce((all, [name, own]) => (who.includes(name) ? all | own : all), 0)
    for (const [, operator, letters = ""] of operations.matchAll(/([-+=])([rwxXst]*)/g)) {
      const executes = letters.includes("x") || (letters.includes("X") && (isDirectory || (bits & 0o111) !== 0))
      const plain = (letters.includes("r") ? 0o444 : 0) | (letters.includes("w") ? 0o222 : 0) | (executes ? 0o111 : 0)
      const special =
        (letters.includes("s") && (everybody || who.includes("u")) ? 0o4000 : 0) |
        (letters.includes("s") && (everybody || who.includes("g")) ? 0o2000 : 0) |
        (letters.includes("t") ? 0o1000 : 0)
      const change = (plain & mask) | special
      if (operator === "-") bits &= ~change
      else bits = operator === "+" ? bits | change : (bits & ~mask) | change
    }
  }
  return bits
}
