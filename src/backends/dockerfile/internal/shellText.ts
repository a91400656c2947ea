/** Text for `sh`. */
import type { Directory } from "../Stage.ts"
import type * as Word from "../Word.ts"

/** A literal word, whatever is in it. */
export const quote = (text: string): string =>
  /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

/** A word in which the base image's variables are replaced when the script runs. `PATH` is `$base_path`: the script has one of its own. */
export const quoteTemplate = (template: Word.Template): string =>
  template.length === 0
    ? "''"
    : template.map((part) => (typeof part === "string" ? quote(part) : variable(part))).join("")

const variable = ({ name, operator, word }: Word.BaseVariable): string => {
  const own = name === "PATH" ? "__base_path" : name
  if (operator === undefined) return `"\${${own}-}"`
  // Within quotes a quoted word would keep its quotes in some shells, so that the choice is made by hand.
  const set = operator.startsWith(":") ? `-n "\${${own}-}"` : `-n "\${${own}+set}"`
  const chosen = quoteTemplate(word ?? [])
  return operator.endsWith("-")
    ? `"$(if [ ${set} ]; then printf %s "\${${own}}"; else printf %s ${chosen}; fi)"`
    : `"$(if [ ${set} ]; then printf %s ${chosen}; fi)"`
}

/** What can be the name of a shell variable, and is not one that some shells do not let go. */
export const isExportable = (name: string): boolean =>
  /^[A-Za-z_]\w*$/.test(name) &&
  !/^(UID|EUID|PPID|BASHOPTS|SHELLOPTS|BASH_VERSINFO|BASH_ARG[CV]|_|IFS|OPTIND|PS4)$/.test(name)

/** A directory as a word: what is below the image's own working directory is known when the script runs. */
export const quoteDirectory = ({ fromBase, path }: Directory): string => {
  if (!fromBase) return quote(path)
  return path === "." ? `"\${__base_directory:-/}"` : `"$__base_directory"/${quote(path)}`
}
