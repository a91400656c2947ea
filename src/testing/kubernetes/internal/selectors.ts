/** Label and field selectors. */
import { at, type KubeObject } from "./KubeObject.ts"

export type Selector = (object: KubeObject) => boolean

/** The selector, or why it cannot be understood. */
export const labelSelector = (text: string | undefined): Selector | string => {
  if (text === undefined || text === "") return () => true
  const terms: Array<Selector> = []
  // Commas inside parentheses do not separate.
  for (const part of text.split(/,(?![^(]*\))/)) {
    const term = labelTerm(part.trim())
    if (term === undefined) return `unable to parse requirement: found '${part.trim()}'`
    terms.push(term)
  }
  return (object) => terms.every((term) => term(object))
}

const labelTerm = (text: string): Selector | undefined => {
  const label = (object: KubeObject, key: string) => object.metadata.labels?.[key]
  const equality = /^([\w./-]+)\s*(!=|==|=)\s*([\w.-]*)$/.exec(text)
  if (equality !== null) {
    const [, key = "", operator, value] = equality
    return operator === "!=" ? (object) => label(object, key) !== value : (object) => label(object, key) === value
  }
  const set = /^([\w./-]+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(text)
  if (set !== null) {
    const [, key = "", operator, list = ""] = set
    const values = list.split(",").map((value) => value.trim())
    const has = (object: KubeObject) => values.includes(label(object, key) ?? "\0")
    return operator === "in" ? has : (object) => !has(object)
  }
  const presence = /^(!?)\s*([\w./-]+)$/.exec(text)
  if (presence === null) return undefined
  const [, not, key = ""] = presence
  return (object) => (label(object, key) === undefined) === (not === "!")
}

/** By any field whose value is plain: the real server knows fewer. */
export const fieldSelector = (text: string | undefined): Selector | string => {
  if (text === undefined || text === "") return () => true
  const terms: Array<Selector> = []
  for (const part of text.split(",")) {
    const found = /^([\w.]+)\s*(!=|==|=)\s*(.*)$/.exec(part.trim())
    if (found === null) return `invalid selector: '${part}'; can't understand '${part}'`
    const [, path = "", operator, value = ""] = found
    terms.push((object) => (String(at(object, ...path.split(".")) ?? "") === value) === (operator !== "!="))
  }
  return (object) => terms.every((term) => term(object))
}
