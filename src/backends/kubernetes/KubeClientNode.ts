/**
 * The same client over the connections of the official one, `@kubernetes/client-node`: its kubeconfig, its ways to log in, its HTTP.
 *
 * **When to use**
 *
 * For programs that have a `KubeConfig` of the official client already, with authenticators of their own for example; and in tests, to compare.
 * Everything else is better served by `KubeClient.layer`, which starts quicker and needs less memory.
 *
 * **Gotchas**
 *
 * - Needs the package `@kubernetes/client-node`, and Node 22.19; it is loaded when the layer is built.
 * - A connection on which nothing comes for five minutes is given up, quiet logs too.
 * - A client certificate that an exec plugin renews is not noticed.
 *
 * @example
 *
 * ```ts
 * const config = new KubeConfig()
 * config.loadFromDefault()
 * const kube = KubeClientNode.layer({ config })
 * ```
 */
import type { KubeConfig } from "@kubernetes/client-node"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { loadClientNode } from "./internal/clientNode.ts"
import { makeClientNodeTransport } from "./internal/clientNodeTransport.ts"
import { KubeClient, type Options as KubeClientOptions, makeOver } from "./KubeClient.ts"
import { ConfigInvalid, KubeError } from "./KubeError.ts"

/** @category options */
export interface Options extends KubeClientOptions {
  /** Default: what the official client finds by itself (`loadFromDefault`). */
  readonly config?: KubeConfig | undefined
  /** What calls without a namespace go to. Default: the current context's, else `default`. */
  readonly namespace?: string | undefined
}

const source = "the configuration of @kubernetes/client-node"

/** @category constructors */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<KubeClient["Service"], KubeError, Scope.Scope> {
  const official = yield* loadClientNode(source, "the official client is asked for", "or KubeClient.layer")
  const config = options.config ?? (yield* fromDefault(official))
  const server = config.getCurrentCluster()?.server
  if (server === undefined || !URL.canParse(server)) {
    const detail = server === undefined ? "no cluster is selected" : `the server ${server} is no http or https address`
    return yield* new KubeError({
      reason: new ConfigInvalid({ source, detail, advice: "Set the current context to one with a cluster." })
    })
  }
  const context = config.getContextObject(config.getCurrentContext())
  const transport = yield* makeClientNodeTransport(official, config, server.replace(/\/+$/, ""), source)
  return makeOver(
    transport,
    {
      source,
      server: server.replace(/\/+$/, ""),
      namespace: options.namespace ?? context?.namespace ?? "default",
      // Both are the transport's.
      tls: {},
      headers: () => Effect.succeed({})
    },
    options
  )
})

/** @category layers */
export const layer = (options?: Options): Layer.Layer<KubeClient, KubeError> => Layer.effect(KubeClient, make(options))

const fromDefault = (official: typeof import("@kubernetes/client-node")) =>
  Effect.try({
    try: () => {
      const config = new official.KubeConfig()
      config.loadFromDefault()
      return config
    },
    catch: (cause) =>
      new KubeError({
        reason: new ConfigInvalid({
          source,
          detail: cause instanceof Error ? cause.message : String(cause),
          advice: "Mend the kubeconfig, or give a configuration."
        })
      })
  })
