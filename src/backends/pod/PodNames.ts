/**
 * How our objects are named and marked, so that whoever knows the environment or the owner finds all of them.
 */
import { createHash } from "node:crypto"
import type { Custody, Selector } from "../../domain/OwnedResource.ts"

/** Label: the environment's name, on everything of it. */
export const environmentLabel = "jobscope.dev/environment"

/** Label: the owner, made to fit a label; the annotation of the same name has it as it is. */
export const ownerLabel = "jobscope.dev/owner"

/** Annotation: `held` or `handed-over`. */
export const custodyAnnotation = "jobscope.dev/custody"

/** The container that script steps run in; templates call it `$job`. */
export const jobContainer = "job"

const label = /^(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/

/**
 * A text as a label's value: itself where it fits, else shortened and with a hash of all of it.
 *
 * @category naming
 */
export const labelValue = (text: string): string => {
  if (label.test(text)) return text
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 10)
  const readable = text
    .replace(/[^A-Za-z0-9_.-]+/g, "-")
    .slice(0, 50)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "")
  return readable === "" ? hash : `${readable}-${hash}`
}

/**
 * A text as the name of a container: lower case letters, digits and dashes, at most 63; unique among `taken`, to which it is added.
 *
 * @category naming
 */
export const containerName = (text: string, taken: Set<string>): string => {
  const base =
    text
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+/, "")
      .slice(0, 63)
      .replace(/-+$/, "") || "container"
  let name = base
  for (let count = 1; taken.has(name); count++) {
    const end = `-${count}`
    name = `${base.slice(0, 63 - end.length)}${end}`
  }
  taken.add(name)
  return name
}

/**
 * The label selector for a selection, or for all of ours.
 *
 * @category naming
 */
export const labelSelector = (selector: Selector | undefined): string => {
  if (selector === undefined) return environmentLabel
  return "owner" in selector
    ? `${ownerLabel}=${labelValue(selector.owner)}`
    : `${environmentLabel}=${labelValue(selector.environment)}`
}

/**
 * Who looks after the environment of an object, by its annotations and phase: what has ended needs nobody to hold it.
 *
 * @category getters
 */
export const custodyOf = (object: {
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> | undefined } | undefined
  readonly status?: { readonly phase?: string | undefined } | undefined
}): Custody => {
  const said = object.metadata?.annotations?.[custodyAnnotation]
  if (said === "handed-over") return said
  const { phase } = object.status ?? {}
  if (phase === "Failed" || phase === "Succeeded") return "orphaned"
  return said === "held" ? said : "unknown"
}
