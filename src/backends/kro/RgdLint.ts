/**
 * What is wrong, or will go wrong, with an RGD for runs to completion. Pure: what KRO itself refuses is told by the RGD's conditions; this is what
 * it accepts, and what then hangs, runs twice, or leaks.
 */
import * as Predicate from "effect/Predicate"
import * as KroNames from "./KroNames.ts"
import * as Rgd from "./ResourceGraphDefinition.ts"

/** @category models */
export interface Finding {
  /** `error`: it cannot work, or may run twice. `warning`: look at it. */
  readonly severity: "error" | "warning"
  /** The resource, or the part of the schema. */
  readonly where: string
  readonly message: string
  readonly advice: string
}

/** @category options */
export interface Options {
  /** For the length of names. Default: as long as ARC makes them. */
  readonly runnerName?: string | undefined
  /** Seconds that a runner pod has to release its instance. Default 30. */
  readonly gracePeriod?: number | undefined
  /** As KRO labels what it makes, `v0.9.4`; some mistakes are only some versions'. */
  readonly kroVersion?: string | undefined
}

/**
 * All that is found, in the order of the resources.
 *
 * @category constructors
 */
export const lint = (rgd: Rgd.ResourceGraphDefinition, options: Options = {}): ReadonlyArray<Finding> => {
  const nodes = rgd.spec.resources ?? []
  return [...aboutResult(rgd), ...aboutSecret(rgd), ...nodes.flatMap((node) => aboutNode(rgd, node, options))]
}

/**
 * Whether a template asks for the key that kro-actions-runner documented, and ARC's Secret does not have.
 *
 * @category guards
 */
export const asksForOldKey = (rgd: Rgd.ResourceGraphDefinition): boolean =>
  JSON.stringify(rgd.spec.resources ?? []).includes(".jitconfig")

/**
 * Whether the name of the Secret is a field of the instance.
 *
 * @category guards
 */
export const takesSecretName = ({ spec }: Rgd.ResourceGraphDefinition): boolean =>
  Predicate.isObject(spec.schema.spec) && Object.hasOwn(spec.schema.spec, "jitConfigSecretName")

const aboutResult = (rgd: Rgd.ResourceGraphDefinition): ReadonlyArray<Finding> => {
  const where = "metadata.annotations"
  const work = Rgd.workOf(rgd)
  if (Predicate.isString(work)) {
    const advice = "Name the resource that runs the runner."
    return [{ severity: "error", where, message: work, advice }]
  }
  const field = Rgd.resultFieldOf(rgd)
  if (field === "state" || field?.startsWith("conditions") === true) {
    const advice = "Declare a field of your own under schema.status."
    return [
      {
        severity: "error",
        where,
        message: `${KroNames.resultFieldAnnotation} names status.${field}, which is KRO's own`,
        advice
      }
    ]
  }
  const declared = rgd.spec.schema.status
  const root = field?.split(".")[0]
  if (root !== undefined && !(Predicate.isObject(declared) && Object.hasOwn(declared, root))) {
    const message = `${KroNames.resultFieldAnnotation} names status.${field}, which schema.status does not declare`
    return [{ severity: "error", where, message, advice: "Declare it, or remove the annotation." }]
  }
  if (work !== undefined || field !== undefined) return []
  return [
    {
      severity: "warning",
      where,
      message: "nothing tells how the runner ends: the instance's readiness alone decides",
      advice: `Name the resource by ${KroNames.workNodeAnnotation}, or a status field by ${KroNames.resultFieldAnnotation}.`
    }
  ]
}

const aboutSecret = (rgd: Rgd.ResourceGraphDefinition): ReadonlyArray<Finding> => {
  if (!asksForOldKey(rgd)) return []
  return takesSecretName(rgd)
    ? [
        {
          severity: "warning",
          where: "schema.spec.jitConfigSecretName",
          message:
            "a template asks for the key .jitconfig, which ARC's Secret does not have: the runner makes a Secret of its own",
          advice: "Ask for jitToken, and the runner needs no right to make Secrets."
        }
      ]
    : [
        {
          severity: "error",
          where: "resources",
          message:
            "a template asks for the key .jitconfig of the Secret with the runner's name, and ARC's Secret has only jitToken",
          advice: "Ask for jitToken, or take the Secret's name from a field jitConfigSecretName."
        }
      ]
}

const aboutNode = (rgd: Rgd.ResourceGraphDefinition, node: Rgd.Node, options: Options): ReadonlyArray<Finding> => {
  const findings: Array<Finding> = []
  const where = `resources.${node.id}`
  const add = (severity: Finding["severity"], message: string, advice: string, path = "") => {
    findings.push({ severity, where: `${where}${path}`, message, advice })
  }
  if (!/^[a-z][a-zA-Z0-9]*$/.test(node.id)) {
    add("error", "the id is not lowerCamelCase", "KRO accepts letters and digits only, the first one a small letter.")
  }
  if (node.externalRef?.kind === "Secret" && isBefore(options.kroVersion, [0, 9, 4])) {
    add(
      "warning",
      "a Secret is an external reference: once ARC has deleted it, KRO before 0.9.4 cannot delete the instance",
      "Use a plain secretKeyRef in the pod, or a newer KRO."
    )
  }
  const { template } = node
  if (template === undefined) return findings
  const kind = Rgd.kindOfTemplate(template)
  const text = JSON.stringify(template)
  const work = Rgd.workOf(rgd)
  const isWork = Predicate.isObject(work) && (work as Rgd.Work).node === node.id
  const name = template.metadata?.name ?? ""
  const length = name.replace(/\$\{schema\.spec\.runnerName\}/g, options.runnerName ?? "r".repeat(usualLength)).length
  if (!/\$\{(?!schema\.spec\.runnerName\})/.test(name) && length > 63) {
    add(
      "error",
      `its name has ${length} characters with this runner's name`,
      "Shorten it to 63 at most.",
      ".metadata.name"
    )
  }
  if (text.includes("ttlSecondsAfterFinished")) {
    const advice = "Remove ttlSecondsAfterFinished: the instance is deleted when the runner has ended."
    add("error", "what is deleted by its time to live is made again by KRO, and runs a second time", advice)
  }
  if (kind?.group === "batch" && kind.kind === "Job") {
    add(
      "warning",
      "KRO deletes a Job without its pods, so they live on",
      "Use a Pod; a runner must not be started again by a Job anyway."
    )
  }
  if (kind?.kind !== "Secret" && secretNodes(rgd).some((id) => new RegExp(`\\b${id}\\.data\\b`).test(text))) {
    const advice = "Let the machine read the Secret itself (secretKeyRef, a mounted Secret, cloud-init from a Secret)."
    add("warning", "a Secret's value is copied into an object that is no Secret, for everybody to read", advice)
  }
  if (isWork) {
    const readyWhen = (node.readyWhen ?? []).join(" ")
    if (/['"]Running['"]|== *['"]running['"]/.test(readyWhen)) {
      add(
        "warning",
        "it is ready while it still runs: whatever goes by readiness takes that for the end",
        "Make it ready when it has Succeeded or Failed.",
        ".readyWhen"
      )
    }
    const spec = template.spec
    if (kind?.group === "" && kind.kind === "Pod" && Predicate.isObject(spec)) {
      if (spec.restartPolicy !== "Never") {
        const advice = "Set restartPolicy: Never. A JIT configuration works once."
        add("error", "the kubelet starts its containers again when they end", advice, ".spec.restartPolicy")
      }
      const grace = spec.terminationGracePeriodSeconds ?? 30
      const room = (options.gracePeriod ?? 30) - 5
      if (Predicate.isNumber(grace) && grace > room) {
        add(
          "warning",
          `it may take ${grace} s to end, and the runner pod has ${options.gracePeriod ?? 30} s for the whole release, of which KRO needs up to 3`,
          "Lower it, or raise the runner pod's terminationGracePeriodSeconds.",
          ".spec.terminationGracePeriodSeconds"
        )
      }
    }
  }
  return findings
}

/** `<scale set>-<5>-runner-<5>`, with a scale set's name of 45. */
const usualLength = 45

const secretNodes = (rgd: Rgd.ResourceGraphDefinition): ReadonlyArray<string> =>
  (rgd.spec.resources ?? [])
    .filter(({ externalRef, template }) => externalRef?.kind === "Secret" || template?.kind === "Secret")
    .map(({ id }) => id)

/** A version that cannot be told counts as old. */
const isBefore = (version: string | undefined, wanted: readonly [number, number, number]): boolean => {
  const found = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version ?? "")
  if (found === null) return true
  const parts = found.slice(1).map(Number)
  for (const [index, part] of wanted.entries()) {
    const have = parts[index] ?? 0
    if (have !== part) return have < part
  }
  return false
}
