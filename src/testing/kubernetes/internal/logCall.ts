/** The log of a container, as it is or as it grows. */
import type { ServerResponse } from "node:http"
import * as Effect from "effect/Effect"
import { type ApiCall, isTrue } from "./apiCall.ts"
import { type ContainerLog, type LogQuery, makeLogRenderer, positionOfTail } from "./containerLog.ts"
import type { Pod } from "./pod.ts"
import type { ContainerRecord, PodRecord } from "./podStatus.ts"
import * as Status from "./Status.ts"

/** The container that a call means, or why there is none. */
export const containerOf = (
  pod: Pod,
  record: PodRecord | undefined,
  call: ApiCall
): ContainerRecord | Status.Status => {
  const { name } = pod.metadata
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].map((container) => container.name)
  const named = call.query.get("container") ?? undefined
  const chosen =
    named ??
    pod.metadata.annotations?.["kubectl.kubernetes.io/default-container"] ??
    (pod.spec?.containers.length === 1 ? all[0] : undefined)
  if (chosen === undefined) {
    return Status.badRequest(`a container name must be specified for pod ${name}, choose one of: [${all.join(" ")}]`)
  }
  const found = record?.containers.find(({ spec }) => spec.name === chosen)
  if (found !== undefined) return found
  return Status.badRequest(
    all.includes(chosen)
      ? `container "${chosen}" in pod "${name}" is waiting to start: ContainerCreating`
      : `container ${chosen} is not valid for pod ${name}`
  )
}

/** The log that is asked for, or why there is none. */
export const logOf = (pod: Pod, container: ContainerRecord, call: ApiCall): ContainerLog | Status.Status => {
  const { name } = container.spec
  if (isTrue(call.query.get("previous"))) {
    return (
      container.previousLog ??
      Status.badRequest(`previous terminated container "${name}" in pod "${pod.metadata.name}" not found`)
    )
  }
  if (container.log !== undefined) return container.log
  const reason = "waiting" in container.state ? container.state.waiting.reason : "ContainerCreating"
  const why =
    reason === "ErrImagePull"
      ? "image can't be pulled"
      : reason === "ImagePullBackOff"
        ? "trying and failing to pull image"
        : reason
  return Status.badRequest(`container "${name}" in pod "${pod.metadata.name}" is waiting to start: ${why}`)
}

const queryOf = ({ query }: ApiCall): LogQuery => {
  const number = (key: string) => (query.get(key) === null ? undefined : Number(query.get(key)))
  return {
    follow: isTrue(query.get("follow")),
    timestamps: isTrue(query.get("timestamps")),
    sinceTime: query.get("sinceTime") ?? undefined,
    sinceSeconds: number("sinceSeconds"),
    tailLines: number("tailLines"),
    limitBytes: number("limitBytes")
  }
}

/** Sends it, no faster than it is read. */
export const serveLog = Effect.fnUntraced(function* (
  log: ContainerLog,
  call: ApiCall,
  response: ServerResponse,
  now: string
) {
  const query = queryOf(call)
  const render = makeLogRenderer(query, now)
  response.writeHead(200, { "content-type": "text/plain" })
  response.flushHeaders()
  yield* Effect.acquireRelease(Effect.sync(log.hold), (release) => Effect.sync(release))
  let position = positionOfTail(log, query.tailLines)
  while (true) {
    const part = log.read(position)
    if (part === undefined) {
      if (!query.follow || log.ended()) break
      yield* grown(log)
      continue
    }
    position += part.length
    const bytes = render(part)
    if (bytes.length > 0 && !response.write(bytes)) yield* drained(response)
  }
  response.end()
})

const grown = (log: ContainerLog) =>
  Effect.callback<void>((resume) => {
    const unsubscribe = log.subscribe(() => {
      unsubscribe()
      resume(Effect.void)
    })
    return Effect.sync(unsubscribe)
  })

const drained = (response: ServerResponse) =>
  Effect.callback<void>((resume) => {
    const tell = () => resume(Effect.void)
    response.once("drain", tell)
    return Effect.sync(() => response.off("drain", tell))
  })
