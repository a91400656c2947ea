/** What is left for people to see when the runner has ended: an Event on the pod, the termination message, the end of the job pod's log. */
import * as Fs from "node:fs"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { KubeClient } from "../../backends/kubernetes/KubeClient.ts"
import * as KubeResource from "../../backends/kubernetes/KubeResource.ts"
import type { Outcome } from "./Outcome.ts"
import type { Redact } from "./Output.ts"
import type { RunnerPod } from "./RunnerPod.ts"

/**
 * Makes the Event. It is never waited for long, and no reason to fail.
 *
 * @category running
 */
export const event = Effect.fnUntraced(function* (
  kube: KubeClient["Service"],
  pod: RunnerPod,
  outcome: Outcome,
  redact: Redact
): Effect.fn.Return<void> {
  const now = DateTime.formatIso(DateTime.makeUnsafe(yield* Clock.currentTimeMillis)).replace(/\.\d+Z$/, "Z")
  const body = {
    apiVersion: "v1",
    kind: "Event",
    metadata: { generateName: `${pod.name}.`, namespace: pod.namespace },
    involvedObject: { apiVersion: "v1", kind: "Pod", name: pod.name, namespace: pod.namespace, uid: pod.uid },
    type: outcome.exitCode === 0 || outcome.reason === "Stopped" ? "Normal" : "Warning",
    reason: outcome.reason,
    message: cut(redact(outcome.message), 1024),
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
    source: { component: "kro-runner" },
    reportingComponent: "jobscope.dev/kro-runner",
    reportingInstance: pod.name
  }
  yield* kube.request({ verb: "create", resource: KubeResource.events, namespace: pod.namespace, body }).pipe(
    Effect.timeout("2 seconds"),
    Effect.catch((error) => Effect.logDebug(`No Event: ${error.message}`))
  )
})

/**
 * Writes the termination message, of which the kubelet takes 4096 bytes. Elsewhere than in a pod there is no such file.
 *
 * @category running
 */
export const termination = (file: string, outcome: Outcome, redact: Redact): Effect.Effect<void> =>
  Effect.try(() => {
    const descriptor = Fs.openSync(file, Fs.constants.O_WRONLY | Fs.constants.O_TRUNC)
    Fs.writeSync(descriptor, cut(`${outcome.reason}: ${redact(outcome.message)}`, 4000))
    Fs.closeSync(descriptor)
  }).pipe(Effect.catch(() => Effect.logDebug(`No termination message: ${file} cannot be written`)))

/**
 * Logs the end of a container's log.
 *
 * @category running
 */
export const logTail = (
  kube: KubeClient["Service"],
  about: { readonly namespace: string; readonly pod: string; readonly container: string | undefined }
): Effect.Effect<void> =>
  kube.logs({ ...about, tailLines: 20, limitBytes: 64 * 1024 }).pipe(
    Stream.decodeText,
    Stream.mkString,
    Effect.timeout("2 seconds"),
    Effect.flatMap((text) => {
      const lines = text.split("\n").filter((line) => line !== "")
      return Effect.forEach(lines, (line) => Effect.logInfo(`| ${line}`), { discard: true })
    }),
    Effect.catch((error) => Effect.logDebug(`No log of ${about.pod}: ${error.message}`))
  )

const cut = (text: string, length: number): string => {
  const bytes = Buffer.from(text)
  return bytes.length <= length
    ? text
    : `${bytes
        .subarray(0, length - 3)
        .toString("utf8")
        .replace(/�+$/, "")}…`
}
