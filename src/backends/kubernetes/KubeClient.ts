/**
 * The client of the Kubernetes API that the pod and KRO backends share.
 *
 * **Details**
 *
 * Small and of its own, because the official client's exec loses the end of a dropped connection, has no ping, no back-pressure and no
 * cancellation, and does not load on the runner's Node 20. Interrupting any call ends its connection.
 *
 * @example
 *
 * ```ts
 * const program = Effect.gen(function* () {
 *   const kube = yield* KubeClient.KubeClient
 *   const pod = yield* kube.request({ verb: "get", resource: KubeResource.pods, name: "build-1" })
 *   return pod.status?.phase
 * }).pipe(Effect.provide(KubeClient.layer()))
 * ```
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ClusterAccess } from "./ClusterAccess.ts"
import { backoff } from "./internal/backoff.ts"
import { makeCollector } from "./internal/collecting.ts"
import { bytesOf, type HttpAnswer, makeTransport, type Transport, textOf } from "./internal/transport.ts"
import * as KubeConfig from "./KubeConfig.ts"
import { fromAnswer, KubeError, type Target, TimedOut, Unexpected } from "./KubeError.ts"
import * as KubeExec from "./KubeExec.ts"
import { type KubeResource, pathOf, pods } from "./KubeResource.ts"
import { type KubeList, type WatchEvent, type WatchOptions, watch } from "./KubeWatch.ts"

/** @category models */
export type Verb = "get" | "list" | "create" | "update" | "patch" | "delete" | "deletecollection"

/**
 * One call.
 *
 * @category models
 */
export interface Request<A, V extends Verb> {
  readonly verb: V
  readonly resource: KubeResource<A>
  /** Default: the client's. `"*"`: all of them, for a list. */
  readonly namespace?: string | undefined
  readonly name?: string | undefined
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined
  /** JSON. */
  readonly body?: unknown
  /** How a patch is to be understood. Default `merge`. */
  readonly patch?: "merge" | "json" | "strategic" | "apply" | undefined
  /** Until the answer is complete, each try. Default 30 seconds. */
  readonly timeout?: Duration.Input | undefined
  /** Whether it may be repeated when it is not known if the server has acted. Default: all but `create`, and JSON patches. */
  readonly idempotent?: boolean | undefined
}

/**
 * What a call answers with.
 *
 * @category models
 */
export type Answer<A, V extends Verb> = V extends "list" | "deletecollection" ? KubeList<A> : A

/** @category options */
export interface LogOptions {
  readonly namespace?: string | undefined
  readonly pod: string
  readonly container?: string | undefined
  /** Goes on until the container ends. */
  readonly follow?: boolean | undefined
  readonly timestamps?: boolean | undefined
  /** Of the container's run before this one. */
  readonly previous?: boolean | undefined
  /** RFC 3339; the server cuts to seconds. */
  readonly sinceTime?: string | undefined
  readonly tailLines?: number | undefined
  readonly limitBytes?: number | undefined
}

/** @category options */
export interface Options {
  /** How often a call is repeated at most. Default 5. */
  readonly retries?: number | undefined
  /**
   * `small`: the memory of what streams (exec, logs, watches) have carried is collected after each MB. Default `usual`: when V8 finds it time, which
   * may be 32 MB later. For programs that live as long as one job.
   */
  readonly memory?: "usual" | "small" | undefined
}

/** @category services */
export class KubeClient extends Context.Service<
  KubeClient,
  {
    /** The address of the API server, for texts. */
    readonly endpoint: string
    /** What calls without a namespace go to. */
    readonly namespace: string
    /**
     * One call and its answer. Calls that may be repeated are, with jitter, after 429, 5xx and broken connections; others only if the
     * server certainly did not act. What the server asks for by Retry-After is waited.
     */
    readonly request: <A, V extends Verb>(call: Request<A, V>) => Effect.Effect<Answer<A, V>, KubeError>
    /** All objects, page by page. */
    readonly list: <A>(call: Omit<Request<A, "list">, "verb" | "body">) => Effect.Effect<KubeList<A>, KubeError>
    /** The objects of a kind, and what happens to them. */
    readonly watch: <A>(options: WatchOptions<A>) => Stream.Stream<WatchEvent<A>, KubeError>
    /**
     * A container's output. It ends with the container, or with the server's own end of the connection: look at the pod. A quiet container
     * and a vanished network look alike: TCP keep-alive tells after about 25 s, but only as far as the next proxy.
     */
    readonly logs: (options: LogOptions) => Stream.Stream<Uint8Array, KubeError>
    /** Starts a command in a container. The scope is the connection's. Never repeated once the server may have started it. */
    readonly exec: (options: KubeExec.ExecOptions) => Effect.Effect<KubeExec.ExecProcess, KubeError, Scope.Scope>
  }
>()("jobscope/backends/kubernetes/KubeClient") {}

/** @category constructors */
export const make = (
  access: ClusterAccess,
  options: Options = {}
): Effect.Effect<KubeClient["Service"], never, Scope.Scope> =>
  Effect.map(makeTransport(access, options.memory === "small" ? makeCollector() : undefined), (transport) =>
    makeOver(transport, access, options)
  )

/** @internal */
export const makeOver = (transport: Transport, access: ClusterAccess, options: Options = {}): KubeClient["Service"] => {
  const { endpoint } = transport
  const retries = options.retries ?? 5

  /** Sends once (twice if the credentials were renewed); an answer of 400 and more is a failure. */
  const send = Effect.fnUntraced(function* (call: Sending) {
    const once = Effect.fnUntraced(function* (fresh: boolean) {
      const response = yield* transport.open({
        ...call,
        headers: {
          accept: "application/json",
          "user-agent": userAgent,
          ...call.headers,
          ...(yield* access.headers(fresh))
        }
      })
      const status = response.statusCode ?? 0
      yield* Effect.logDebug(`${call.method} ${call.path} ${status}`)
      if (status >= 200 && status < 300) return response
      const body = yield* textOf(response, (cause) => transport.failure(cause, call.target), 64 * 1024)
      const retryAfter = [response.headers["retry-after"]].flat()[0]
      return yield* fromAnswer({ target: call.target, endpoint, status, body, retryAfter })
    })
    return yield* Effect.catchReason(once(false), "KubeError", "Unauthorized", () => once(true))
  })

  const inTime =
    (target: Target, duration: Duration.Input) =>
    <B, R>(effect: Effect.Effect<B, KubeError, R>): Effect.Effect<B, KubeError, R> =>
      Effect.timeoutOrElse(effect, {
        duration,
        orElse: () => {
          const detail = `nothing for ${Duration.format(Duration.fromInputUnsafe(duration))}`
          return Effect.fail(new KubeError({ reason: new TimedOut({ target, endpoint, detail }) }))
        }
      })

  const repeating = <B, R>(idempotent: boolean, effect: Effect.Effect<B, KubeError, R>) => {
    const attempt = (failures: number): Effect.Effect<B, KubeError, R> =>
      Effect.catchIf(
        effect,
        (error) => failures < retries && mayRepeat(error, idempotent),
        (error) => Effect.andThen(backoff(failures, 5000, error), attempt(failures + 1))
      )
    return attempt(0)
  }

  const namespaceOf = (resource: KubeResource<unknown>, namespace: string | undefined): string | undefined =>
    !resource.namespaced || namespace === "*" ? undefined : (namespace ?? access.namespace)

  const request = Effect.fnUntraced(function* <A, V extends Verb>(
    call: Request<A, V>
  ): Effect.fn.Return<Answer<A, V>, KubeError> {
    const { body, name, patch = "merge", query, resource, verb } = call
    const namespace = namespaceOf(resource, call.namespace)
    const target = targetOf(verb, resource, namespace, name)
    const sending: Sending = {
      target,
      method: methods[verb],
      path:
        pathOf(
          resource,
          namespace,
          name === undefined || (verb === "create" && resource.subresource === undefined) ? undefined : name
        ) + queryText(query),
      headers: body === undefined ? {} : { "content-type": verb === "patch" ? patchTypes[patch] : "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body)
    }
    const text = yield* send(sending).pipe(
      Effect.flatMap((response) => textOf(response, (cause) => transport.failure(cause, target))),
      Effect.scoped,
      inTime(target, call.timeout ?? "30 seconds"),
      (once) => repeating(call.idempotent ?? !(verb === "create" || (verb === "patch" && patch === "json")), once)
    )
    return yield* Effect.try({
      // The types are the API's own promise for this path.
      try: (): Answer<A, V> => JSON.parse(text),
      catch: () => new KubeError({ reason: new Unexpected({ target, detail: `no JSON: ${text.slice(0, 100)}` }) })
    })
  })

  const list = Effect.fnUntraced(function* <A>(
    call: Omit<Request<A, "list">, "verb" | "body">
  ): Effect.fn.Return<KubeList<A>, KubeError> {
    const page = (continued: string | undefined) =>
      request({ ...call, verb: "list", query: { limit: 500, ...call.query, continue: continued } })
    let { items, metadata } = yield* page(undefined)
    while (metadata.continue !== undefined && metadata.continue !== "") {
      // Too slow for the server: it keeps a list's version for minutes only. Then all in one answer.
      const next = yield* Effect.catchReason(page(metadata.continue), "KubeError", "Expired", () => {
        items = []
        return request({ ...call, verb: "list" })
      })
      items = [...items, ...next.items]
      metadata = next.metadata
    }
    return { items, metadata }
  })

  const streamOf = (response: HttpAnswer, target: Target) =>
    Stream.tap(
      bytesOf(response, (cause) => transport.failure(cause, target)),
      (bytes) => Effect.sync(() => transport.passed(bytes.length))
    )

  return {
    endpoint,
    namespace: access.namespace,
    request,
    list,
    watch: (options) => {
      const { fieldSelector, labelSelector, resource } = options
      const namespace = namespaceOf(resource, options.namespace)
      const target = targetOf("watch", resource, namespace, undefined)
      const selectors = { fieldSelector, labelSelector }
      return watch(
        {
          target,
          endpoint,
          list: list({ resource, namespace: options.namespace, query: selectors }),
          open: (query) =>
            send({
              target,
              method: "GET",
              path: pathOf(resource, namespace, undefined) + queryText({ ...selectors, ...query }),
              headers: {}
            }).pipe(
              inTime(target, "30 seconds"),
              Effect.map((response) => streamOf(response, target))
            )
        },
        options
      )
    },
    logs: ({ namespace: named, pod, ...query }) => {
      const resource = { ...pods, subresource: "log" }
      const namespace = namespaceOf(resource, named)
      const target = targetOf("get", resource, namespace, pod)
      const path = pathOf(resource, namespace, pod) + queryText(query)
      return Stream.unwrap(
        send({ target, method: "GET", path, headers: { accept: "*/*" } }).pipe(
          inTime(target, "30 seconds"),
          (once) => repeating(true, once),
          Effect.map((response) => streamOf(response, target))
        )
      )
    },
    exec: Effect.fnUntraced(function* (options: KubeExec.ExecOptions) {
      const resource = { ...pods, subresource: "exec" }
      const namespace = namespaceOf(resource, options.namespace)
      const target = targetOf("get", resource, namespace, options.pod)
      const url = `${access.server}${pathOf(resource, namespace, options.pod)}?${KubeExec.queryOf(options)}`
      const once = Effect.fnUntraced(function* (fresh: boolean) {
        return yield* KubeExec.connect(
          transport,
          url,
          { "user-agent": userAgent, ...(yield* access.headers(fresh)) },
          target,
          options
        )
      })
      return yield* repeating(
        false,
        Effect.catchReason(once(false), "KubeError", "Unauthorized", () => once(true))
      )
    })
  }
}

/**
 * Access as configured: in the pod that we run in, or by kubeconfig.
 *
 * @category layers
 */
export const layer = (options: KubeConfig.Options & Options = {}): Layer.Layer<KubeClient, KubeError> =>
  Layer.effect(
    KubeClient,
    Effect.flatMap(KubeConfig.load(options), (access) => make(access, options))
  )

/**
 * A given access.
 *
 * @category layers
 */
export const layerFrom = (access: ClusterAccess, options: Options = {}): Layer.Layer<KubeClient> =>
  Layer.effect(KubeClient, make(access, options))

const userAgent = "jobscope"

interface Sending {
  readonly target: Target
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

const methods: Record<Verb, string> = {
  get: "GET",
  list: "GET",
  create: "POST",
  update: "PUT",
  patch: "PATCH",
  delete: "DELETE",
  deletecollection: "DELETE"
}

const patchTypes = {
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml"
}

const targetOf = (
  verb: string,
  { group, plural, subresource }: KubeResource<unknown>,
  namespace: string | undefined,
  name: string | undefined
): Target => ({
  verb,
  group,
  resource: subresource === undefined ? plural : `${plural}/${subresource}`,
  ...(namespace === undefined ? {} : { namespace }),
  ...(name === undefined ? {} : { name })
})

const queryText = (query: Readonly<Record<string, string | number | boolean | undefined>> = {}): string => {
  const entries = Object.entries(query).flatMap(
    ([key, value]): Array<[string, string]> => (value === undefined ? [] : [[key, String(value)]])
  )
  return entries.length === 0 ? "" : `?${new URLSearchParams(entries)}`
}

/** Without knowing that a repetition does no harm, only what the server certainly did not do is repeated. */
const mayRepeat = (error: KubeError, idempotent: boolean): boolean => {
  const { reason } = error
  if (reason._tag === "TooManyRequests") return true
  if (reason._tag === "Unavailable" && reason.status === undefined) return true
  return idempotent && reason.retryable
}
