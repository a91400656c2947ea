/**
 * Exec plugins and the other ways to log in that change with the clouds: the official client knows them. It is large, so it is
 * loaded only here, and need not be installed.
 */
import type { RequestOptions } from "node:https"
import * as Process from "node:process"
import * as Effect from "effect/Effect"
import type { ClusterAccess, TlsOptions } from "../ClusterAccess.ts"
import { ConfigInvalid, KubeError } from "../KubeError.ts"

/** The part of a kubeconfig that the official client is asked for. */
interface Login {
  readonly cluster: {
    readonly server: string
    readonly "certificate-authority-data"?: string | null
    readonly "insecure-skip-tls-verify"?: boolean | null
    readonly "tls-server-name"?: string | null
    readonly "proxy-url"?: string | null
  }
  readonly exec: unknown
  readonly authProvider: unknown
}

/** The header fields, and perhaps a certificate, that the official client finds for a user. */
export const clientNodeAuthorization = Effect.fnUntraced(function* (
  { authProvider, cluster, exec }: Login,
  source: string
): Effect.fn.Return<{ readonly tls: TlsOptions; readonly headers: ClusterAccess["headers"] }, KubeError> {
  const invalid = invalidAt(source)
  const how = exec === undefined || exec === null ? "an auth provider" : "an exec plugin"
  const { KubeConfig } = yield* loadClientNode(
    source,
    `its user logs in by ${how}`,
    "or a context with a token or a certificate"
  )
  const name = "jobscope"
  const make = () => {
    const config = new KubeConfig()
    config.loadFromOptions({
      // It refuses plain HTTP otherwise; here it connects to nothing.
      clusters: [{ name, server: cluster.server, skipTLSVerify: cluster.server.startsWith("http:") }],
      users: [{ name, exec: informed(exec, cluster), authProvider }],
      contexts: [{ name, cluster: name, user: name }],
      currentContext: name
    })
    return config
  }
  let config = make()
  const ask = Effect.suspend(() => {
    const options: RequestOptions = { headers: {} }
    return Effect.as(
      Effect.tryPromise({
        try: () => config.applyToHTTPSOptions(options),
        catch: (cause) =>
          invalid(
            `${how} of its user failed (${cause instanceof Error ? cause.message : String(cause)})`,
            "Run kubectl with the same context: it asks the same plugin."
          )
      }),
      options
    )
  })
  const { cert, key } = yield* ask
  return {
    tls: {
      ...(typeof cert === "string" || Buffer.isBuffer(cert) ? { cert } : {}),
      ...(typeof key === "string" || Buffer.isBuffer(key) ? { key } : {})
    },
    headers: (fresh) =>
      Effect.suspend(() => {
        // It keeps what a plugin has said, for ever if nothing is said of an end: one of its own forgets.
        if (fresh) config = make()
        return Effect.map(ask, ({ headers }) => {
          const value = headers !== undefined && "Authorization" in headers ? headers.Authorization : undefined
          return typeof value === "string" ? { authorization: value } : {}
        })
      })
  }
})

/** A plugin is told what kubectl would tell it: the version that is expected, that nobody is there to be asked, and the cluster if it wants that. */
const informed = (exec: unknown, cluster: Login["cluster"]): unknown => {
  if (typeof exec !== "object" || exec === null) return exec
  const { apiVersion, env, provideClusterInfo }: { apiVersion?: unknown; env?: unknown; provideClusterInfo?: unknown } =
    exec
  const spec = { interactive: false, ...(provideClusterInfo === true ? { cluster } : {}) }
  const value = JSON.stringify({ apiVersion, kind: "ExecCredential", spec })
  return { ...exec, env: [...(Array.isArray(env) ? env : []), { name: "KUBERNETES_EXEC_INFO", value }] }
}

const invalidAt = (source: string) => (detail: string, advice: string) =>
  new KubeError({ reason: new ConfigInvalid({ source, detail, advice }) })

/** The official client, or why there is none; `wanted` is for what, `otherwise` what to use in its place. */
export const loadClientNode = (
  source: string,
  wanted: string,
  otherwise: string
): Effect.Effect<typeof import("@kubernetes/client-node"), KubeError> => {
  const invalid = invalidAt(source)
  // Its undici cannot be loaded by an older Node, and that failure cannot be caught.
  if (Number(Process.versions.node.split(".")[0]) < 22) {
    return Effect.fail(
      invalid(
        `${wanted}, which needs Node 22.19 or later (this is ${Process.versions.node})`,
        `Use a newer Node, ${otherwise}.`
      )
    )
  }
  return Effect.tryPromise({
    try: () => import("@kubernetes/client-node"),
    catch: () =>
      invalid(
        `${wanted}, for which the package @kubernetes/client-node is needed, and it cannot be loaded`,
        `Install it (npm install @kubernetes/client-node), ${otherwise.replace(/^or /, "or use ")}.`
      )
  })
}
