/** Access to one cluster: what a connection needs, wherever it came from. */
import type * as Effect from "effect/Effect"
import type { KubeError } from "./KubeError.ts"

/**
 * All that a connection needs.
 *
 * @category models
 */
export interface ClusterAccess {
  /** Where this comes from, for error texts. */
  readonly source: string
  /** `https://10.0.0.1:6443`, perhaps with a path. */
  readonly server: string
  /** What calls without a namespace go to. */
  readonly namespace: string
  readonly tls: TlsOptions
  /** `http://proxy:3128`, through which the server is reached by CONNECT. */
  readonly proxy?: string | undefined
  /** Header fields that say who we are, asked for before each call. `fresh`: the last ones were not accepted. */
  readonly headers: (fresh: boolean) => Effect.Effect<Headers, KubeError>
}

/** @category models */
export type Headers = Readonly<Record<string, string | Array<string>>>

/** @category models */
export interface TlsOptions {
  readonly ca?: string | Buffer
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}
