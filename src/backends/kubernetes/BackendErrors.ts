/**
 * Failures of the Kubernetes API in the domain's words: what the callers of a backend get to see.
 */
import * as JobError from "../../domain/JobError.ts"
import type { KubeError, Reason } from "./KubeError.ts"

/**
 * The same in the domain's words, for callers of a backend.
 *
 * @category conversions
 */
export const fromKubeError = (error: KubeError): JobError.BackendError =>
  new JobError.BackendError({ reason: toBackendReason(error.reason) })

const toBackendReason = (reason: Reason): JobError.Reason => {
  switch (reason._tag) {
    case "NotFound": {
      const { name, resource } = reason.target
      return name !== undefined && /^pods(\/|$)/.test(resource) && reason.target.verb !== "delete"
        ? new JobError.EnvironmentLost({ cause: "Deleted", detail: reason.message })
        : new JobError.ProvisionFailed({ detail: reason.message, transient: false })
    }
    case "AlreadyExists":
    case "Conflict": {
      const { name, resource } = reason.target
      return new JobError.Conflict({
        resource: name === undefined ? resource : `${resource} ${name}`,
        detail: reason.detail
      })
    }
    case "Unauthorized":
      return new JobError.Unauthorized({ endpoint: "The Kubernetes API", detail: reason.detail })
    case "Forbidden": {
      const { group, namespace, resource, verb } = reason.target
      return new JobError.Forbidden({
        verb,
        resource: group === "" ? resource : `${resource}.${group}`,
        ...(namespace === undefined ? {} : { place: `the namespace ${namespace}` }),
        detail: reason.detail
      })
    }
    case "Invalid":
      return new JobError.InvalidInput({
        input: `the ${reason.target.resource} for Kubernetes`,
        detail: reason.fields.length === 0 ? reason.detail : reason.fields.join("; ")
      })
    case "QuotaExceeded":
      return new JobError.QuotaExceeded({ detail: reason.detail })
    case "ConnectionLost":
      return new JobError.ConnectionLost({ endpoint: reason.endpoint, detail: reason.detail })
    case "TooManyRequests":
    case "Unavailable":
    case "TimedOut":
    case "Expired":
      return new JobError.Unavailable({ service: "The Kubernetes API", detail: reason.message })
    case "ExecFailed":
      return new JobError.StepStartFailed({ detail: reason.detail, transient: false })
    case "HalfCloseUnsupported":
      return new JobError.Unsupported({
        backend: "Kubernetes",
        feature: "end of stdin over v4.channel.k8s.io",
        hint: "Use an API server, and proxies before it, that speak v5.channel.k8s.io (Kubernetes 1.30 or later)."
      })
    case "ConfigInvalid":
      return new JobError.ConfigurationInvalid({ source: reason.source, detail: reason.detail, hint: reason.advice })
    case "Unexpected":
      return new JobError.BackendDefect({ detail: reason.message })
  }
}
