/** Volumes as directories of this machine. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Mount } from "./containerView.ts"
import { bytesOf, fieldOf } from "./environment.ts"
import { claims, configMaps, secrets } from "./kinds.ts"
import type { ObjectStore } from "./objectStore.ts"
import type { Container, Pod, Volume } from "./pod.ts"

export interface VolumeOptions {
  readonly store: ObjectStore
  /** Of the pod. */
  readonly directory: string
  readonly node: string
  /** Where the content of a claim is. */
  readonly claimDirectory: (namespace: string, claim: string) => string
  /** What a pod proves with who it is. */
  readonly token: (namespace: string, serviceAccount: string) => string
  /** Of the API server, if it speaks TLS. */
  readonly authority: string | undefined
}

/** Why a volume cannot be mounted yet. */
export interface NotMounted {
  readonly why: string
}

/** The claims of a pod's ephemeral volumes, which are made with the pod and go with it. */
export const createEphemeralClaims = (store: ObjectStore, pod: Pod): void => {
  const { name: podName, namespace, uid } = pod.metadata
  for (const { ephemeral, name } of pod.spec?.volumes ?? []) {
    const claim = `${podName}-${name}`
    if (ephemeral?.volumeClaimTemplate === undefined || store.get(claims, namespace, claim) !== undefined) continue
    store.create(claims, namespace, claim, {
      metadata: { ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: podName, uid, controller: true }] },
      spec: ephemeral.volumeClaimTemplate.spec,
      status: { phase: "Bound" }
    })
  }
}

/** The directory of each volume by its name, made if necessary. */
export const prepareVolumes = (options: VolumeOptions, pod: Pod): ReadonlyMap<string, string> | NotMounted => {
  const found = new Map<string, string>()
  for (const volume of pod.spec?.volumes ?? []) {
    const directory = prepare(options, pod, volume)
    if (typeof directory !== "string") return directory
    found.set(volume.name, directory)
  }
  return found
}

const prepare = (options: VolumeOptions, pod: Pod, volume: Volume): string | NotMounted => {
  const namespace = pod.metadata.namespace ?? ""
  const own = Path.join(options.directory, "volumes", volume.name)
  const { configMap, downwardAPI, ephemeral, hostPath, name, persistentVolumeClaim, projected, secret } = volume
  if (hostPath !== undefined) {
    if (hostPath.type === "DirectoryOrCreate") Fs.mkdirSync(hostPath.path, { recursive: true })
    return Fs.existsSync(hostPath.path)
      ? hostPath.path
      : {
          why: `MountVolume.SetUp failed for volume "${name}" : hostPath type check failed: ${hostPath.path} is not a directory`
        }
  }
  const claim = ephemeral === undefined ? persistentVolumeClaim?.claimName : `${pod.metadata.name}-${name}`
  if (claim !== undefined) {
    if (options.store.get(claims, namespace, claim) === undefined)
      return { why: `persistentvolumeclaim "${claim}" not found` }
    const directory = options.claimDirectory(namespace, claim)
    Fs.mkdirSync(directory, { recursive: true })
    return directory
  }
  Fs.mkdirSync(own, { recursive: true })
  Fs.chmodSync(own, 0o777)
  const sources = projected?.sources ?? [{ configMap, secret, downwardAPI }]
  for (const source of sources) {
    for (const [kind, given] of [
      [secrets, source.secret],
      [configMaps, source.configMap]
    ] as const) {
      if (given === undefined) continue
      const reference: { readonly name?: string; readonly secretName?: string } = given
      const wanted = reference.secretName ?? reference.name ?? ""
      const object = options.store.get(kind, namespace, wanted)
      if (object === undefined) {
        if (given.optional === true) continue
        return {
          why: `MountVolume.SetUp failed for volume "${name}" : ${kind.kind.toLowerCase()} "${wanted}" not found`
        }
      }
      const content = bytesOf(object)
      const items = given.items ?? Object.keys(content).map((key) => ({ key, path: key, mode: undefined }))
      for (const item of items) {
        const bytes = content[item.key]
        if (bytes === undefined) return { why: `references non-existent ${kind.kind.toLowerCase()} key: ${item.key}` }
        write(own, item.path, bytes, item.mode ?? modeOf(volume))
      }
    }
    for (const { fieldRef, path } of source.downwardAPI?.items ?? []) {
      if (fieldRef !== undefined) write(own, path, Buffer.from(fieldOf(pod, fieldRef.fieldPath, options.node)), 0o644)
    }
    if ("serviceAccountToken" in source && source.serviceAccountToken !== undefined) {
      writeAccount(options, own, namespace, pod.spec?.serviceAccountName ?? "default")
    }
  }
  return own
}

const modeOf = ({ configMap, projected, secret }: Volume): number =>
  secret?.defaultMode ?? configMap?.defaultMode ?? projected?.defaultMode ?? 0o644

const write = (directory: string, path: string, bytes: Buffer, mode: number): void => {
  const file = Path.join(directory, path)
  Fs.mkdirSync(Path.dirname(file), { recursive: true })
  Fs.writeFileSync(file, bytes)
  Fs.chmodSync(file, mode)
}

const writeAccount = (
  { authority, token }: VolumeOptions,
  directory: string,
  namespace: string,
  account: string
): void => {
  write(directory, "token", Buffer.from(token(namespace, account)), 0o644)
  write(directory, "namespace", Buffer.from(namespace), 0o644)
  if (authority !== undefined) write(directory, "ca.crt", Buffer.from(authority), 0o644)
}

const accountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

/** What a container mounts; a `subPath` that is missing is made. */
export const mountsOf = (
  options: VolumeOptions,
  pod: Pod,
  container: Container,
  volumes: ReadonlyMap<string, string>
): ReadonlyArray<Mount> => {
  const mounts = (container.volumeMounts ?? []).map(({ mountPath, name, readOnly = false, subPath = "" }): Mount => {
    const source = Path.join(volumes.get(name) ?? "", subPath)
    if (!Fs.existsSync(source)) Fs.mkdirSync(source, { recursive: true })
    return { path: Path.posix.resolve("/", mountPath), source, readOnly }
  })
  if (pod.spec?.automountServiceAccountToken === false || mounts.some(({ path }) => path === accountPath)) return mounts
  const source = Path.join(options.directory, "account")
  writeAccount(options, source, pod.metadata.namespace ?? "", pod.spec?.serviceAccountName ?? "default")
  return [...mounts, { path: accountPath, source, readOnly: true }]
}
