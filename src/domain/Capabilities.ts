/**
 * What a backend can do. Asking for what it lacks is `Unsupported`, before anything is provisioned; never a silent skip.
 */
import type { Job, JobSpec } from "./Job.ts"
import { Unsupported } from "./JobError.ts"
import type { Step } from "./Step.ts"

/** @category models */
export interface Capabilities {
  /** Jobs without a container. */
  readonly hostJobs: boolean
  /** Script steps in jobs without a container. Where there are none, such a job is its services, and the container steps beside them. */
  readonly hostScripts: boolean
  /** Jobs with a container of a given image. */
  readonly containerJobs: boolean
  readonly containerSteps: boolean
  /** Container steps of a Dockerfile in place of an image. */
  readonly dockerfileSteps: boolean
  /** Services from an image. */
  readonly serviceImages: boolean
  /** Services from a command, on the host. */
  readonly serviceCommands: boolean
  readonly workspaces: ReadonlyArray<"in-place" | "copy">
  readonly volumes: boolean
  /** `handOver` and `adopt`: an environment outlives the process that made it. */
  readonly handOver: boolean
  /** Environments that are the work themselves: `completion` succeeds. */
  readonly runToCompletion: boolean
}

/**
 * A backend that can do nothing but run scripts on its host: spread it, and add what yours can.
 *
 * @category constructors
 */
export const minimal: Capabilities = {
  hostJobs: true,
  hostScripts: true,
  containerJobs: false,
  containerSteps: false,
  dockerfileSteps: false,
  serviceImages: false,
  serviceCommands: false,
  workspaces: [],
  volumes: false,
  handOver: false,
  runToCompletion: false
}

/**
 * The first thing of a job that the backend lacks.
 *
 * @category validation
 */
export const missingFor = (backend: string, has: Capabilities, spec: JobSpec | Job): Unsupported | undefined => {
  const missing = (feature: string, hint: string) => new Unsupported({ backend, feature, hint })
  if (spec.container !== undefined && !has.containerJobs) {
    return missing(
      `job containers (image ${spec.container.image})`,
      "Remove the job's container, or use a backend that runs images."
    )
  }
  if (spec.container === undefined && !has.hostJobs) {
    return missing("jobs without a container", "Give the job a container with an image.")
  }
  if (spec.container === undefined && !has.hostScripts) {
    if (spec.services.length === 0) {
      return missing("jobs without a container and without services", "Give the job a container with an image.")
    }
    if ("steps" in spec && spec.steps.some(({ run }) => run._tag === "ScriptStep")) {
      return missing("script steps in jobs without a container", "Give the job a container with an image.")
    }
  }
  for (const service of spec.services) {
    if (service.image !== undefined && !has.serviceImages) {
      return missing(
        `services from images (${service.name}: ${service.image})`,
        has.serviceCommands
          ? "Give the service a `command` instead of an image, or use a backend that runs images."
          : has.containerJobs
            ? "Describe it together with the environment, or use a backend that runs services."
            : "Use a backend that runs images."
      )
    }
    if (service.image === undefined && !has.serviceCommands) {
      return missing(`services from commands (${service.name})`, "Give the service an image.")
    }
  }
  if (spec.workspace !== undefined && !has.workspaces.includes(spec.workspace.mode)) {
    return missing(
      `workspaces of mode ${spec.workspace.mode}`,
      has.workspaces.length === 0 ? "Leave the workspace out." : `Use one of: ${has.workspaces.join(", ")}.`
    )
  }
  if (spec.volumes.length > 0 && !has.volumes) return missing("volumes", "Leave the job's volumes out.")
  if ("steps" in spec) {
    for (const { run } of spec.steps) {
      const lacking = missingForStep(backend, has, run)
      if (lacking !== undefined) return lacking
    }
  }
  return undefined
}

/**
 * What of a step the backend lacks.
 *
 * @category validation
 */
export const missingForStep = (backend: string, has: Capabilities, step: Step): Unsupported | undefined => {
  if (step._tag !== "ContainerStep") return undefined
  const { dockerfile, image } = step
  if (!has.containerSteps) {
    const what = dockerfile === undefined ? `image ${image}` : dockerfile
    return new Unsupported({
      backend,
      feature: `container steps (${what})`,
      hint: "Make it a script step, or use a backend that runs images."
    })
  }
  return dockerfile === undefined || has.dockerfileSteps
    ? undefined
    : new Unsupported({
        backend,
        feature: `container steps from a Dockerfile (${dockerfile})`,
        hint: "Build and push the image and name it, or use a backend that can: pod."
      })
}
