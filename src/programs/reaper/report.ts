/**
 * What the reaper did, in words. Pure.
 */
import type { Reaped } from "../../domain/Reaper.ts"

const verbs: Readonly<Record<Reaped["outcome"], string>> = {
  kept: "keeps",
  "would-remove": "would remove",
  removed: "removed",
  failed: "could not remove"
}

/** One line an environment that is not kept (all of them if `all`), then one that counts. */
export const reportLines = (seen: ReadonlyArray<Reaped>, options: { readonly all: boolean }): ReadonlyArray<string> => {
  const lines = seen
    .filter(({ outcome }) => options.all || outcome !== "kept")
    .map(({ environment, error, outcome, owner, resources }) => {
      const custody = resources[0]?.custody ?? "unknown"
      const about = `${environment} (${owner === "" ? "owner unknown" : `owner ${owner}`}, ${custody}, ${describe(resources)})`
      return `${verbs[outcome]} ${about}${error === undefined ? "" : `: ${error.message}. ${error.advice} (${error.anchor})`}`
    })
  return [...lines, summary(seen, options)]
}

const describe = (resources: Reaped["resources"]): string => {
  const kinds = new Map<string, number>()
  for (const { kind } of resources) kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  return [...kinds].map(([kind, count]) => `${count} ${kind}`).join(", ")
}

const summary = (seen: ReadonlyArray<Reaped>, { all }: { readonly all: boolean }): string => {
  const count = (outcome: Reaped["outcome"]) => seen.filter((reaped) => reaped.outcome === outcome).length
  const parts = [
    `${count("removed")} removed`,
    ...(count("would-remove") > 0 ? [`${count("would-remove")} would be removed`] : []),
    ...(count("failed") > 0 ? [`${count("failed")} failed`] : []),
    `${count("kept")} kept${count("kept") > 0 && !all ? " (--all names them)" : ""}`
  ]
  return parts.join(", ")
}
