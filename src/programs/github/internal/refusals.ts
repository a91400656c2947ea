/** What a backend cannot do of what a file asks for, as far as the file alone tells it: found before anything is started. */
import type { Capabilities } from "../../../domain/Capabilities.ts"
import { Diagnostic, type Range } from "../Diagnostic.ts"
import type { StepSyntax, Tree } from "../WorkflowSyntax.ts"
import * as Images from "./images.ts"
import type { PreparedRun } from "./prepareRun.ts"
import { expressionsOf } from "./template.ts"

/** `images`: where every job needs one. */
export const refusals = (
  run: PreparedRun,
  backend: string,
  has: Capabilities,
  images: Images.Images | undefined
): ReadonlyArray<Diagnostic> => {
  const { file, jobs } = run
  const found: Array<Diagnostic> = []
  const say = (at: string, range: Range, message: string, hint: string) => {
    const excerpt = file.excerptOf(at, range.line)
    const shown = excerpt === undefined ? {} : { excerpt }
    found.push(new Diagnostic({ severity: "error", code: "unsupported", file: at, ...range, message, hint, ...shown }))
  }
  const refuse = (at: string, range: Range, what: string, hint: string) =>
    say(at, range, `The ${backend} backend has no ${what}`, hint)
  const useImages = "Use a backend that runs images: --backend pod."
  const haveServices = has.containerJobs
    ? "Describe it together with the environment, or use --backend pod."
    : useImages
  const own = file.syntax.file
  const steps = (at: string, list: ReadonlyArray<StepSyntax>, seen: ReadonlySet<string>): void => {
    for (const { does } of list) {
      if (does._tag !== "Uses") continue
      const { action } = does
      const local = action._tag === "Local" ? file.actions.get(action.path) : undefined
      const docker = action._tag === "Docker" || local?.runs._tag === "Docker"
      if (docker && !has.containerSteps) {
        refuse(at, does.uses.range, `container steps (${does.uses.value})`, useImages)
      } else if (local?.runs._tag === "Docker" && local.runs.from === "dockerfile" && !has.dockerfileSteps) {
        refuse(
          at,
          does.uses.range,
          `container steps from a Dockerfile (${does.uses.value})`,
          "Build and push the image, and name it (docker://registry/image:tag); or use --backend pod."
        )
      }
      if (local?.runs._tag === "Composite" && !seen.has(local.file)) {
        steps(local.file, local.runs.steps, new Set([...seen, local.file]))
      }
    }
  }
  for (const job of jobs) {
    if (job.container !== undefined && isCertain(job.container)) {
      if (!has.containerJobs) refuse(own, job.container.range, "job containers", useImages)
    } else if (job.container === undefined && !has.hostJobs) {
      refuse(own, job.id.range, "jobs without a container", "Give the job a `container`.")
    } else if (job.container === undefined && images !== undefined && Images.needsImage(file, job)) {
      const labels = Images.withoutImage(run, images, job)
      if (labels !== undefined) {
        const { hint, message } = Images.complaint(job.id.value, labels)
        say(own, job.runsOn?.range ?? job.id.range, `The ${backend} backend runs jobs in images: ${message}`, hint)
      }
    }
    if (!("kind" in job.services) && !has.serviceImages) {
      for (const { container, name } of job.services) {
        if (isCertain(container)) refuse(own, name.range, `services from images ("${name.value}")`, haveServices)
      }
    }
    if (!has.containerSteps || !has.dockerfileSteps) steps(own, job.steps, new Set())
  }
  return found
}

/** Not one that an expression may leave out. */
const isCertain = (tree: Tree): boolean => {
  if (tree.kind === "text")
    return tree.parts.length === 0 ? tree.literal !== "" : !tree.parts.every((part) => typeof part !== "string")
  const image = tree.kind === "mapping" ? tree.entries.find(({ key }) => key === "image")?.value : undefined
  return image === undefined || expressionsOf(image).length === 0 || (image.kind === "text" && isCertain(image))
}
