/**
 * Where the cluster is and who we are: from the pod that we run in, or from kubeconfig files.
 *
 * **Details**
 *
 * Understood here: tokens, token files (read again when they may have been rotated), client certificates, basic authentication,
 * impersonation, `tls-server-name`, `insecure-skip-tls-verify`, `proxy-url` (http and https proxies), the auth provider `oidc` (a token that it renews
 * is not written back into the file). Exec plugins and other auth providers are left to the optional package `@kubernetes/client-node`, which is
 * loaded only then.
 *
 * What a kubeconfig names is reached through its `proxy-url`, else through the proxy of the environment (`HTTPS_PROXY`, `NO_PROXY`), as kubectl does.
 *
 * **Gotchas**
 *
 * In a pod the environment's proxy is not used without a kubeconfig: it is for what is outside of the cluster, and the address of the API server is
 * inside.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ClusterAccess } from "./ClusterAccess.ts"
import { clientNodeAuthorization } from "./internal/clientNode.ts"
import { environmentProxy } from "./internal/environmentProxy.ts"
import { oidcHeaders } from "./internal/oidc.ts"
import { ConfigInvalid, KubeError } from "./KubeError.ts"

/** @category options */
export interface Options {
  /** Instead of the one that the configuration names. */
  readonly namespace?: string | undefined
  /** A kubeconfig's context. Default: its `current-context`. */
  readonly context?: string | undefined
  /** Kubeconfig files, instead of `$KUBECONFIG` or `~/.kube/config`. */
  readonly files?: ReadonlyArray<string> | undefined
  /**
   * Where to look, in this order. Default: the pod that we run in, then `~/.kube/config`; where `KUBECONFIG` is set its files come first, and with
   * `files` or `context` there are only files.
   */
  readonly sources?: ReadonlyArray<"in-cluster" | "kubeconfig"> | undefined
  /** Of the pod's service account. Default `/var/run/secrets/kubernetes.io/serviceaccount`. */
  readonly serviceAccountDirectory?: string | undefined
}

const text = Schema.optionalKey(Schema.NullOr(Schema.String))
const flag = Schema.optionalKey(Schema.NullOr(Schema.Boolean))

/** @category schemas */
export const Cluster = Schema.Struct({
  server: text,
  "certificate-authority": text,
  "certificate-authority-data": text,
  "insecure-skip-tls-verify": flag,
  "tls-server-name": text,
  "proxy-url": text
})

/** @category schemas */
export const User = Schema.Struct({
  "client-certificate": text,
  "client-certificate-data": text,
  "client-key": text,
  "client-key-data": text,
  token: text,
  tokenFile: text,
  username: text,
  password: text,
  as: text,
  "as-uid": text,
  "as-groups": Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.String))),
  exec: Schema.optionalKey(Schema.Unknown),
  "auth-provider": Schema.optionalKey(Schema.Unknown)
})

/** @category schemas */
export const Context = Schema.Struct({ cluster: text, user: text, namespace: text })

const nullish = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const File = Schema.Struct({
  "current-context": text,
  clusters: nullish(Schema.Array(Schema.Struct({ name: Schema.String, cluster: nullish(Cluster) }))),
  users: nullish(Schema.Array(Schema.Struct({ name: Schema.String, user: nullish(User) }))),
  contexts: nullish(Schema.Array(Schema.Struct({ name: Schema.String, context: nullish(Context) })))
})

/**
 * One kubeconfig, or several merged.
 *
 * @category models
 */
export interface Kubeconfig {
  readonly currentContext: string | undefined
  readonly clusters: ReadonlyMap<string, typeof Cluster.Type>
  readonly users: ReadonlyMap<string, typeof User.Type>
  readonly contexts: ReadonlyMap<string, typeof Context.Type>
}

/**
 * Decodes the text of a kubeconfig file; its relative paths become absolute.
 *
 * @category decoding
 */
export const parse = (content: string, file: string): Result.Result<Kubeconfig, KubeError> => {
  const invalid = (cause: unknown) =>
    // The position only: a parser's message may quote the line, and the line may be a token.
    configError(file, `it is not a kubeconfig (${positionOf(cause)})`, "Mend the file, or name another in KUBECONFIG.")
  return Result.gen(function* () {
    const raw = yield* Result.try({ try: (): unknown => Yaml.parse(content) ?? {}, catch: invalid })
    const decoded = yield* Result.mapError(Schema.decodeUnknownResult(File)(raw), invalid)
    const absolute = <Entry extends object>(entry: Entry, ...keys: ReadonlyArray<keyof Entry>): Entry => {
      const paths = keys.flatMap((key) => {
        const path = entry[key]
        return typeof path === "string" && path !== "" ? [[key, Path.resolve(Path.dirname(file), path)]] : []
      })
      return { ...entry, ...Object.fromEntries(paths) }
    }
    return {
      currentContext: present(decoded["current-context"]),
      clusters: new Map(
        (decoded.clusters ?? [])
          .toReversed()
          .map(({ cluster, name }) => [name, absolute(cluster ?? {}, "certificate-authority")])
      ),
      users: new Map(
        (decoded.users ?? [])
          .toReversed()
          .map(({ name, user }) => [name, absolute(user ?? {}, "client-certificate", "client-key", "tokenFile")])
      ),
      contexts: new Map((decoded.contexts ?? []).toReversed().map(({ context, name }) => [name, context ?? {}]))
    }
  })
}

/**
 * kubectl's rules: of each name, and of `current-context`, the first wins, whole.
 *
 * @category combining
 */
export const merge = (configs: ReadonlyArray<Kubeconfig>): Kubeconfig => {
  const first = <Entry>(entries: (config: Kubeconfig) => ReadonlyMap<string, Entry>): ReadonlyMap<string, Entry> =>
    new Map(configs.toReversed().flatMap((config) => [...entries(config)]))
  return {
    currentContext: configs.find(({ currentContext }) => currentContext !== undefined)?.currentContext,
    clusters: first(({ clusters }) => clusters),
    users: first(({ users }) => users),
    contexts: first(({ contexts }) => contexts)
  }
}

/**
 * What a context names.
 *
 * @category models
 */
export interface Selection {
  readonly context: string
  readonly cluster: typeof Cluster.Type & { readonly server: string }
  readonly userName: string | undefined
  readonly user: typeof User.Type
  readonly namespace: string
}

/**
 * Looks a context up, the current one unless another is named.
 *
 * @category getters
 */
export const select = (
  config: Kubeconfig,
  source: string,
  options: { readonly context?: string | undefined; readonly namespace?: string | undefined } = {}
): Result.Result<Selection, KubeError> => {
  const refuse = (detail: string, advice: string) => Result.fail(configError(source, detail, advice))
  const name = options.context ?? config.currentContext
  const known = Array.from(config.contexts.keys()).join(", ")
  if (name === undefined) {
    return refuse(
      "no context is selected",
      `Set current-context to one of: ${known === "" ? "(there is none)" : known}.`
    )
  }
  const context = config.contexts.get(name)
  if (context === undefined) {
    return refuse(`there is no context "${name}"`, `Use one of: ${known === "" ? "(there is none)" : known}.`)
  }
  const cluster = config.clusters.get(context.cluster ?? "")
  const server = present(cluster?.server)
  if (cluster === undefined || server === undefined) {
    const detail =
      cluster === undefined
        ? `the context "${name}" names the cluster "${context.cluster ?? ""}", which is not there`
        : `the cluster "${context.cluster}" has no server`
    return refuse(detail, "Mend the file, or use another context.")
  }
  const userName = present(context.user)
  const user = userName === undefined ? {} : config.users.get(userName)
  if (user === undefined) {
    return refuse(
      `the context "${name}" names the user "${userName}", who is not there`,
      "Mend the file, or use another context."
    )
  }
  return Result.succeed({
    context: name,
    cluster: { ...cluster, server: server.replace(/\/+$/, "") },
    userName,
    user,
    namespace: options.namespace ?? present(context.namespace) ?? "default"
  })
}

/**
 * Finds the access to the cluster.
 *
 * @category constructors
 */
export const load = Effect.fnUntraced(function* (options: Options = {}): Effect.fn.Return<ClusterAccess, KubeError> {
  const onlyFiles = options.files !== undefined || options.context !== undefined
  const tried: Array<string> = []
  const named = yield* variable("KUBECONFIG")
  const usual = named === undefined ? (["in-cluster", "kubeconfig"] as const) : (["kubeconfig", "in-cluster"] as const)
  for (const source of options.sources ?? (onlyFiles ? (["kubeconfig"] as const) : usual)) {
    const found = yield* source === "in-cluster" ? inCluster(options) : fromFiles(options)
    if (Option.isSome(found.access)) return found.access.value
    tried.push(found.looked)
  }
  return yield* configError(
    "no cluster is configured",
    tried.join("; "),
    "Name a kubeconfig in KUBECONFIG, or run in a pod with a service account token."
  )
})

/** What was found, or where it was looked for. */
interface Found {
  readonly access: Option.Option<ClusterAccess>
  readonly looked: string
}

const variable = (name: string) =>
  Effect.map(Effect.orDie(Config.option(Config.String(name))), (value) => present(Option.getOrUndefined(value)))

const inCluster = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Found, KubeError> {
  const directory = options.serviceAccountDirectory ?? "/var/run/secrets/kubernetes.io/serviceaccount"
  const host = yield* variable("KUBERNETES_SERVICE_HOST")
  const port = (yield* variable("KUBERNETES_SERVICE_PORT")) ?? "443"
  const tokenFile = Path.join(directory, "token")
  if (host === undefined || !Fs.existsSync(tokenFile)) {
    return {
      access: Option.none(),
      looked: host === undefined ? "KUBERNETES_SERVICE_HOST is not set" : `there is no ${tokenFile}`
    }
  }
  const ca = yield* read(Path.join(directory, "ca.crt"))
  const namespaceFile = Path.join(directory, "namespace")
  const namespace =
    options.namespace ??
    (Fs.existsSync(namespaceFile) ? present((yield* read(namespaceFile)).toString().trim()) : undefined)
  return {
    access: Option.some({
      source: "the pod's service account",
      server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
      namespace: namespace ?? "default",
      tls: { ca },
      headers: tokenFromFile(tokenFile)
    }),
    looked: ""
  }
})

const fromFiles = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Found, KubeError> {
  const named = yield* variable("KUBECONFIG")
  const files = (
    options.files ??
    named?.split(Path.delimiter) ?? [Path.join((yield* variable("HOME")) ?? Os.homedir(), ".kube", "config")]
  ).filter((file) => file !== "")
  const existing = files.map((file) => Path.resolve(file)).filter((file) => Fs.existsSync(file))
  if (existing.length === 0) return { access: Option.none(), looked: `there is no ${files.join(", no ")}` }
  const configs = yield* Effect.forEach(existing, (file) =>
    Effect.flatMap(read(file), (content) => Effect.fromResult(parse(content.toString(), file)))
  )
  const source = existing.join(Path.delimiter)
  const selection = yield* Effect.fromResult(select(merge(configs), source, options))
  return {
    access: Option.some(yield* accessOf(selection, `the context "${selection.context}" of ${source}`)),
    looked: ""
  }
})

/**
 * Reads what a selection points to.
 *
 * @category constructors
 */
export const accessOf = Effect.fnUntraced(function* (
  selection: Selection,
  source: string
): Effect.fn.Return<ClusterAccess, KubeError> {
  const { cluster, namespace, user } = selection
  const plugin = present(user.exec) ?? present(user["auth-provider"])
  const oidc = present(user.exec) === undefined ? oidcHeaders(user["auth-provider"], source) : undefined
  const external =
    plugin === undefined || oidc !== undefined
      ? undefined
      : yield* clientNodeAuthorization({ cluster, exec: user.exec, authProvider: user["auth-provider"] }, source)
  const ca = yield* material(cluster["certificate-authority-data"], cluster["certificate-authority"])
  const cert = yield* material(user["client-certificate-data"], user["client-certificate"])
  const key = yield* material(user["client-key-data"], user["client-key"])
  const servername = present(cluster["tls-server-name"])
  if (!/^https?:\/\//.test(cluster.server) || !URL.canParse(cluster.server)) {
    return yield* configError(
      source,
      `the server ${cluster.server} is no http or https address`,
      "Mend the cluster's server."
    )
  }
  const own = present(cluster["proxy-url"])
  const proxy = own ?? (yield* environmentProxy(new URL(cluster.server)))
  if (proxy !== undefined && (!/^https?:\/\//.test(proxy) || !URL.canParse(proxy))) {
    const what = own === undefined ? "the proxy of the environment (HTTPS_PROXY)" : "the proxy-url"
    return yield* configError(
      source,
      `${what} is not http or https (${proxy.split(":")[0]})`,
      own === undefined ? "Use an HTTP proxy, or name the server in NO_PROXY." : "Use an HTTP proxy."
    )
  }
  return {
    source,
    server: cluster.server,
    namespace,
    proxy,
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...external?.tls,
      ...(servername === undefined ? {} : { servername }),
      ...(cluster["insecure-skip-tls-verify"] === true ? { rejectUnauthorized: false } : {})
    },
    headers: withImpersonation(user, external?.headers ?? oidc ?? ownHeaders(user))
  }
})

const ownHeaders = (user: typeof User.Type): ClusterAccess["headers"] => {
  const tokenFile = present(user.tokenFile)
  const token = present(user.token)
  const username = present(user.username)
  if (tokenFile !== undefined) return tokenFromFile(tokenFile)
  const value =
    token !== undefined
      ? `Bearer ${token}`
      : username !== undefined
        ? `Basic ${Buffer.from(`${username}:${user.password ?? ""}`).toString("base64")}`
        : undefined
  const redacted = value === undefined ? undefined : Redacted.make(value)
  return () => Effect.succeed(redacted === undefined ? {} : { authorization: Redacted.value(redacted) })
}

const withImpersonation = (user: typeof User.Type, headers: ClusterAccess["headers"]): ClusterAccess["headers"] => {
  const as = present(user.as)
  if (as === undefined) return headers
  const uid = present(user["as-uid"])
  const impersonation = {
    "impersonate-user": as,
    ...(uid === undefined ? {} : { "impersonate-uid": uid }),
    ...((user["as-groups"] ?? []).length === 0 ? {} : { "impersonate-group": [...(user["as-groups"] ?? [])] })
  }
  return (fresh) => Effect.map(headers(fresh), (own) => ({ ...own, ...impersonation }))
}

/** The kubelet rotates tokens in place, long before they expire: a minute is what the official clients wait, too. */
const tokenLifetime = 60_000

const tokenFromFile = (file: string): ClusterAccess["headers"] => {
  let known: { readonly token: Redacted.Redacted; readonly readAt: number } | undefined
  return Effect.fnUntraced(function* (fresh: boolean) {
    const now = yield* Clock.currentTimeMillis
    if (known === undefined || fresh || now - known.readAt > tokenLifetime) {
      known = { token: Redacted.make((yield* read(file)).toString().trim()), readAt: now }
    }
    return { authorization: `Bearer ${Redacted.value(known.token)}` }
  })
}

const material = (
  data: string | null | undefined,
  file: string | null | undefined
): Effect.Effect<Buffer | undefined, KubeError> => {
  const inline = present(data)
  if (inline !== undefined) return Effect.succeed(Buffer.from(inline, "base64"))
  const path = present(file)
  return path === undefined ? Effect.undefined : read(path)
}

/** Small local files, read once at the start: synchronously is fastest. */
const read = (file: string): Effect.Effect<Buffer, KubeError> =>
  Effect.try({
    try: () => Fs.readFileSync(file),
    catch: (cause) =>
      configError(
        file,
        `it cannot be read (${(cause as NodeJS.ErrnoException).code ?? "unknown reason"})`,
        "Check that the file is there, and that this user may read it."
      )
  })

const configError = (source: string, detail: string, advice: string) =>
  new KubeError({ reason: new ConfigInvalid({ source, detail, advice }) })

const positionOf = (cause: unknown): string => {
  if (cause instanceof SyntaxError) return /at line \d+/.exec(cause.message)?.[0] ?? "not YAML"
  return Schema.isSchemaError(cause) ? (/\bat (\[.*\])/.exec(cause.message)?.[1] ?? "wrong shape") : "wrong shape"
}

/** Empty and null mean absent in a kubeconfig. */
const present = <A>(value: A | null | undefined): A | undefined =>
  value === null || value === "" ? undefined : (value ?? undefined)
