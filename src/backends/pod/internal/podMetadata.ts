/**
 * What a pod's manifest says beside what runs: whose it is, and the secrets that its containers and their images need.
 */
import type { V1Secret } from "@kubernetes/client-node"
import * as Redacted from "effect/Redacted"
import type { RegistryCredentials } from "../../../domain/Container.ts"
import type { EnvVars } from "../../../domain/EnvVars.ts"
import type { Wire } from "../../kubernetes/KubeResource.ts"
import { custodyAnnotation, environmentLabel, labelValue, ownerLabel } from "../PodNames.ts"
import type { Options, PodManifest } from "../PodOptions.ts"

/** A secret as JSON. */
export type SecretManifest = Wire<V1Secret>

/** A variable of a container. */
export type EnvEntry = NonNullable<NonNullable<PodManifest["spec"]>["containers"][number]["env"]>[number]

/** Variables that say nothing secret: they need no Secret. */
const plain = new Set(["HOME", "CI", "GITHUB_ACTIONS"])

/** What both kinds of pods need to know. */
export interface Identity {
  readonly environment: string
  readonly owner: string
  readonly options: Options
  readonly secretName: (id: string) => string
}

const commonLabels = ({ environment, options, owner }: Identity, more: Readonly<Record<string, string>>) => ({
  "app.kubernetes.io/managed-by": "jobscope",
  ...options.labels,
  ...more,
  [environmentLabel]: labelValue(environment),
  [ownerLabel]: labelValue(owner),
  ...(options.ownerLabel === undefined ? {} : { [options.ownerLabel]: owner })
})

/** Name, labels and owner of an object of ours. */
export const metadataOf = (identity: Identity, name: string, labels: Readonly<Record<string, string>> = {}) => {
  const { options, owner } = identity
  return {
    name,
    labels: commonLabels(identity, labels),
    annotations: { [ownerLabel]: owner, [custodyAnnotation]: options.custody ?? "held" },
    ...(options.ownerReference === undefined
      ? {}
      : { ownerReferences: [{ ...options.ownerReference, controller: false, blockOwnerDeletion: false }] })
  }
}

/** Kubernetes would expand `$(NAME)` in commands and values: nothing of ours is meant so. */
export const literal = (text: string): string => text.replaceAll("$", "$$$$")

/** Collects the secret values of a pod; each container's variables get keys of their own. */
export const makeEnvSecret = (identity: Identity, id: string) => {
  const name = identity.secretName(id)
  const values: Record<string, string> = {}
  const entries = (env: EnvVars): Array<EnvEntry> =>
    Object.entries(env).map(([variable, redacted]) => {
      const value = Redacted.value(redacted)
      if (plain.has(variable)) return { name: variable, value: literal(value) }
      const key = `v${Object.keys(values).length}`
      values[key] = value
      return { name: variable, valueFrom: { secretKeyRef: { name, key } } }
    })
  const secret = (): ReadonlyArray<SecretManifest> =>
    Object.keys(values).length === 0
      ? []
      : [
          {
            apiVersion: "v1",
            kind: "Secret",
            metadata: metadataOf(identity, name),
            type: "Opaque",
            immutable: true,
            stringData: values
          }
        ]
  return { entries, secret }
}

/** One pull secret for all images of a pod: kubelet tries what matches the image. */
export const pullSecrets = (
  identity: Identity,
  ids: ReadonlyArray<string>,
  credentials: ReadonlyArray<RegistryCredentials | undefined>
): ReadonlyArray<SecretManifest> => {
  const different = new Map<string, RegistryCredentials>()
  for (const entry of credentials) {
    if (entry !== undefined)
      different.set(JSON.stringify([entry.server, entry.username, Redacted.value(entry.password)]), entry)
  }
  return [...different.values()].map(({ password, server, username }, index) => {
    const secret = Redacted.value(password)
    const auth = Buffer.from(`${username}:${secret}`).toString("base64")
    const host = server === "" || server === "docker.io" ? "https://index.docker.io/v1/" : server
    return {
      apiVersion: "v1",
      kind: "Secret",
      metadata: metadataOf(identity, identity.secretName(ids[index] ?? `${ids[0]}${index}`)),
      type: "kubernetes.io/dockerconfigjson",
      immutable: true,
      stringData: {
        ".dockerconfigjson": JSON.stringify({ auths: { [host]: { username, password: secret, auth } } })
      }
    }
  })
}
