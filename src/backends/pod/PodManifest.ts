/**
 * The pod and the secrets of a job, as manifests. Pure: what is asked in, what is sent out.
 */

import * as Duration from "effect/Duration"
import type { ContainerSettings, Port, Resources } from "../../domain/Container.ts"
import type { JobSpec, Service } from "../../domain/Job.ts"
import { InvalidInput, type Reason, Unsupported } from "../../domain/JobError.ts"
import type { ContainerStep } from "../../domain/Step.ts"
import type { BuiltContainer, BuiltStep } from "./internal/builtStep.ts"
import type { MountPlan, PodVolume, VolumeMount } from "./internal/mountPlan.ts"
import { withoutRepetition } from "./internal/mountPlan.ts"
import {
  type EnvEntry,
  type Identity,
  literal,
  makeEnvSecret,
  metadataOf,
  pullSecrets,
  type SecretManifest
} from "./internal/podMetadata.ts"
import { stateDirectory, supervisor, volumeDirectory } from "./internal/podScripts.ts"
import { containerName, jobContainer } from "./PodNames.ts"
import type { ContainerRole, Options, PodManifest } from "./PodOptions.ts"

export type { Identity, SecretManifest } from "./internal/podMetadata.ts"

type Container = NonNullable<PodManifest["spec"]>["containers"][number]

/**
 * What is created for an environment or for a container step: the secrets first.
 *
 * @category models
 */
export interface Manifests {
  readonly pod: PodManifest
  readonly secrets: ReadonlyArray<SecretManifest>
  readonly roles: ReadonlyMap<string, ContainerRole>
  /** Services by the name of their container. */
  readonly services: ReadonlyMap<string, Service>
}

const placementOf = (options: Options): Partial<NonNullable<PodManifest["spec"]>> => {
  const { placement = { _tag: "Anywhere" } } = options
  if (placement._tag === "Anywhere") return {}
  if (placement._tag === "On") return { nodeName: placement.node }
  const matchExpressions = [{ key: "kubernetes.io/hostname", operator: "In", values: [placement.node] }]
  return {
    affinity: {
      nodeAffinity: placement.required
        ? { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions }] } }
        : { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, preference: { matchExpressions } }] }
    }
  }
}

/** Both pods end quickly: what is in them is ours to end, or has no time to lose. */
const basics = (options: Options): Partial<NonNullable<PodManifest["spec"]>> => ({
  restartPolicy: "Never",
  enableServiceLinks: false,
  automountServiceAccountToken: options.automountToken ?? false,
  ...(options.serviceAccount === undefined ? {} : { serviceAccountName: options.serviceAccount }),
  terminationGracePeriodSeconds: 3,
  ...placementOf(options)
})

const portsOf = (ports: ReadonlyArray<Port>, { hostPorts }: Options): Pick<Container, "ports"> =>
  ports.length === 0
    ? {}
    : {
        ports: ports.map(({ container, host, protocol }) => ({
          containerPort: container,
          protocol: protocol.toUpperCase(),
          // 0 lets the backend choose: none.
          ...(hostPorts === true && host !== undefined && host > 0 ? { hostPort: host } : {})
        }))
      }

const resourcesOf = (resources: Resources | undefined): Pick<Container, "resources"> =>
  resources === undefined ? {} : { resources: { requests: resources.requests, limits: resources.limits } }

/** The part of a container's settings that is its own; `volumes` is the pod's part. */
const settingsOf = (
  name: string,
  settings: ContainerSettings | undefined,
  user: string | undefined
): {
  readonly container: Partial<Container>
  readonly volumes: ReadonlyArray<PodVolume>
  readonly mounts: ReadonlyArray<VolumeMount>
} => {
  const volumes: Array<PodVolume> = []
  const mounts: Array<VolumeMount> = []
  const memory = (path: string, sizeLimit: string | undefined) => {
    const volume = `${name}-tmpfs-${volumes.length}`.slice(-63).replace(/^-+/, "")
    volumes.push({ name: volume, emptyDir: { medium: "Memory", ...(sizeLimit ? { sizeLimit } : {}) } })
    mounts.push({ name: volume, mountPath: path })
  }
  if (settings?.shmSize !== undefined) memory("/dev/shm", settings.shmSize)
  for (const [path, size] of Object.entries(settings?.tmpfs ?? {})) memory(path, size)
  const [uid, gid] = user?.split(":") ?? []
  const securityContext = {
    ...(uid === undefined ? {} : { runAsUser: uid === "root" ? 0 : Number(uid) }),
    ...(gid === undefined ? {} : { runAsGroup: gid === "root" ? 0 : Number(gid) }),
    ...(settings?.privileged === true ? { privileged: true } : {}),
    ...(settings?.readOnlyRoot === true ? { readOnlyRootFilesystem: true } : {}),
    ...(settings === undefined || (settings.capAdd.length === 0 && settings.capDrop.length === 0)
      ? {}
      : { capabilities: { add: [...settings.capAdd], drop: [...settings.capDrop] } })
  }
  return { container: Object.keys(securityContext).length === 0 ? {} : { securityContext }, volumes, mounts }
}

/** What of a job this backend cannot give, before anything is made. */
const refusalOf = (spec: JobSpec, options: Options): Reason | undefined => {
  const { container } = spec
  const all = [
    ...(container === undefined ? [] : [{ name: "the job's container", ...container }]),
    ...spec.services.map((service) => ({ ...service, name: `the service ${service.name}` }))
  ]
  for (const { name, settings, user } of all) {
    if (user !== undefined && !/^(\d+|root)(:(\d+|root))?$/.test(user)) {
      return new InvalidInput({
        input: `the user ${JSON.stringify(user)} of ${name}`,
        detail: "Kubernetes knows users by number only; give `uid` or `uid:gid`"
      })
    }
    const raising = [
      ...(settings?.privileged === true ? ["privileged"] : []),
      ...(settings?.capAdd ?? []).map((capability) => `capability ${capability}`)
    ]
    if (raising.length > 0 && options.allowPrivileged !== true) {
      return new Unsupported({
        backend: "pod",
        feature: `permission to raise the privilege of ${name} (${raising.join(", ")})`,
        hint: "Leave it out, or let the administrator of the runners allow it."
      })
    }
  }
  return undefined
}

const mountsOf = (
  plan: MountPlan,
  mounts: JobSpec["services"][number]["mounts"]
): ReadonlyArray<VolumeMount> | InvalidInput => {
  const planned: Array<VolumeMount> = []
  for (const mount of withoutRepetition(mounts)) {
    const resolved = plan.resolve(mount)
    if (resolved instanceof InvalidInput) return resolved
    planned.push(resolved.mount)
  }
  return planned
}

/** Beyond what the job may take: the release comes first, this is for when nobody is left to release. */
const lastDeadline = (spec: JobSpec): number =>
  Math.ceil(
    Duration.toSeconds(spec.timeouts.provision) +
      Duration.toSeconds(spec.timeouts.total) +
      Duration.toSeconds(spec.timeouts.conclude) +
      Duration.toSeconds(spec.timeouts.release)
  )

/**
 * The pod of an environment: the job's container, its services.
 *
 * @category rendering
 */
export const jobManifests = (
  spec: JobSpec,
  identity: Identity,
  plan: MountPlan,
  about: {
    /** Ids of the secrets, for their names. */
    readonly secretIds: ReadonlyArray<string>
    readonly workspace: string
    /** Whether the workspace is a directory of the pod's own. */
    readonly ownWorkspace: boolean
    /** subPath of the claim that the volume transport uses. */
    readonly channel: string | undefined
  }
): Manifests | Reason => {
  const { options } = identity
  const refusal = refusalOf(spec, options)
  if (refusal !== undefined) return refusal
  const taken = new Set([jobContainer, ...(options.initContainers ?? []).map(({ name }) => name)])
  const roles = new Map<string, ContainerRole>([[jobContainer, "job"]])
  const services = new Map<string, Service>()
  const [envId = "env", ...pullIds] = about.secretIds
  const env = makeEnvSecret(identity, envId)
  const volumes: Array<PodVolume> = [...plan.volumes, { name: "jobscope", emptyDir: {} }]

  const container = spec.container
  const image = container?.image ?? spec.services[0]?.image ?? ""
  const jobMounts = mountsOf(plan, container?.mounts ?? [])
  if (jobMounts instanceof InvalidInput) return jobMounts
  const settings = settingsOf(jobContainer, container?.settings, container?.user)
  volumes.push(...settings.volumes)
  if (about.ownWorkspace) volumes.push({ name: "workspace", emptyDir: {} })
  const ours: Array<VolumeMount> = [
    { name: "jobscope", mountPath: stateDirectory },
    ...(about.channel === undefined ? [] : [{ name: "work", mountPath: volumeDirectory, subPath: about.channel }]),
    ...(about.ownWorkspace ? [{ name: "workspace", mountPath: about.workspace }] : [])
  ]
  const job: Container = {
    name: jobContainer,
    image,
    ...(container?.entryPoint === undefined
      ? { command: ["sh", "-c", literal(supervisor), "jobscope"] }
      : {
          command: container.entryPoint.map(literal),
          args: container.args.map(literal),
          // Steps go there by themselves.
          ...(spec.workingDirectory === undefined ? {} : { workingDir: spec.workingDirectory })
        }),
    env: env.entries(spec.env),
    volumeMounts: [...jobMounts, ...settings.mounts, ...ours],
    ...portsOf(container?.ports ?? [], options),
    ...resourcesOf(container?.resources),
    ...settings.container
  }

  const containers: Array<Container> = container === undefined ? [] : [job]
  for (const service of spec.services) {
    const name = containerName(service.name, taken)
    roles.set(name, "service")
    services.set(name, service)
    const mounts = mountsOf(plan, service.mounts)
    if (mounts instanceof InvalidInput) return mounts
    const own = settingsOf(name, service.settings, service.user)
    volumes.push(...own.volumes)
    containers.push({
      name,
      image: service.image ?? "",
      ...(service.entryPoint === undefined ? {} : { command: service.entryPoint.map(literal) }),
      ...(service.command.length === 0 ? {} : { args: service.command.map(literal) }),
      ...(service.workingDirectory === undefined ? {} : { workingDir: service.workingDirectory }),
      env: env.entries(service.env),
      volumeMounts: [...mounts, ...own.mounts],
      ...portsOf(service.ports, options),
      ...resourcesOf(service.resources),
      ...probeOf(service),
      ...own.container
    })
  }

  const hosts = [
    ...spec.services
      .map(({ name }) => ({ ip: "127.0.0.1", hostnames: [name] }))
      .filter(({ hostnames }) => isHostname(hostnames[0] ?? "")),
    ...[container?.settings, ...spec.services.map((service) => service.settings)].flatMap((settings) =>
      Object.entries(settings?.hosts ?? {}).map(([name, ip]) => ({ ip, hostnames: [name] }))
    )
  ]
  const pulls = pullSecrets(identity, pullIds, [
    container?.credentials,
    ...spec.services.map((service) => service.credentials)
  ])
  const hostname = container?.settings?.hostname
  const pod: PodManifest = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: metadataOf(identity, identity.environment, { ...container?.settings?.labels, ...spec.labels }),
    spec: {
      ...basics(options),
      activeDeadlineSeconds: lastDeadline(spec),
      ...(hostname === undefined ? {} : { hostname }),
      ...(hosts.length === 0 ? {} : { hostAliases: hosts }),
      ...(pulls.length === 0
        ? {}
        : { imagePullSecrets: pulls.map(({ metadata }) => ({ name: metadata?.name ?? "" })) }),
      ...(options.initContainers === undefined || options.initContainers.length === 0
        ? {}
        : { initContainers: options.initContainers }),
      containers,
      volumes
    }
  }
  return { pod: options.adjust?.(pod, roles) ?? pod, secrets: [...env.secret(), ...pulls], roles, services }
}

/** RFC 1123, as `hostAliases` wants it. */
const isHostname = (name: string) => /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(name)

/** Kubernetes counts whole seconds, at least one. */
const seconds = (duration: Duration.Duration) => Math.max(1, Math.round(Duration.toSeconds(duration)))

/** A health check is a startup probe: a service that fails it too often is ended, and so told; its later health is nobody's business. */
const probeOf = ({ healthCheck, ports }: Service): Pick<Container, "readinessProbe" | "startupProbe"> => {
  if (healthCheck !== undefined) {
    const { command, interval, retries, startPeriod, timeout } = healthCheck
    const periodSeconds = seconds(interval)
    return {
      startupProbe: {
        exec: { command: ["sh", "-c", command] },
        periodSeconds,
        timeoutSeconds: seconds(timeout),
        failureThreshold: retries + Math.ceil(Duration.toSeconds(startPeriod) / periodSeconds)
      }
    }
  }
  const port = ports.find(({ protocol }) => protocol === "tcp")
  return port === undefined
    ? {}
    : {
        readinessProbe: {
          tcpSocket: { port: port.container },
          periodSeconds: 1,
          timeoutSeconds: 1,
          failureThreshold: 3
        }
      }
}

/**
 * The pod of a container step.
 *
 * @category rendering
 */
export const stepManifests = (
  step: ContainerStep,
  identity: Identity,
  plan: MountPlan,
  about: {
    readonly name: string
    readonly secretIds: ReadonlyArray<string>
    /** Host names and the address that they mean: of the job's pod. */
    readonly hosts: ReadonlyArray<string>
    readonly address: string | undefined
    /** Other names that the job's pod knows. */
    readonly hostAliases: ReadonlyArray<{ readonly ip: string; readonly hostnames: ReadonlyArray<string> }>
    readonly deadline: Duration.Duration
    /** Variables with the paths of the step's files, and where those are mounted. */
    readonly files: { readonly env: Readonly<Record<string, string>>; readonly mounts: ReadonlyArray<VolumeMount> }
    /** More containers that bring files in and out. */
    readonly before: ReadonlyArray<Container>
    readonly beside: ReadonlyArray<Container>
    readonly volumes: ReadonlyArray<PodVolume>
    /** In place of the step's image. */
    readonly built?: BuiltStep | undefined
  }
): Manifests | Reason => {
  const { built, files, volumes } = about
  const { options } = identity
  const [envId = "env", ...pullIds] = about.secretIds
  const env = makeEnvSecret(identity, envId)
  const mounts = mountsOf(plan, step.mounts)
  if (mounts instanceof InvalidInput) return mounts
  const paths = Object.entries(files.env).map(([name, value]): EnvEntry => ({ name, value: literal(value) }))
  const ours: Pick<Container, "command" | "args" | "workingDir" | "env"> =
    built?.container.command === undefined
      ? {
          ...(step.entryPoint === undefined ? {} : { command: step.entryPoint.map(literal) }),
          ...(step.args.length === 0 ? {} : { args: step.args.map(literal) }),
          ...(step.workingDirectory === undefined ? {} : { workingDir: step.workingDirectory }),
          env: [...env.entries(step.env), ...paths]
        }
      : startOf(built.container)
  const container: Container = {
    name: jobContainer,
    image: built?.container.image ?? step.image,
    ...ours,
    ...(built === undefined ? {} : { securityContext: built.container.security }),
    volumeMounts: [...mounts, ...files.mounts, ...(built?.mounts ?? [])]
  }
  const planned = (of: BuiltContainer): Container => ({
    name: of.name,
    image: of.image,
    ...startOf(of),
    securityContext: of.security,
    volumeMounts: built?.mounts ?? []
  })
  const before = [...about.before, ...(built?.before ?? []).map(planned)]
  const beside = [...(built?.beside ?? []).map(planned), ...about.beside]
  const pulls = pullSecrets(identity, pullIds, [step.credentials])
  const used = new Set(
    [container, ...before, ...beside].flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name))
  )
  const roles = new Map<string, ContainerRole>([[jobContainer, "step"]])
  const hostAliases = [
    ...about.hostAliases.map(({ hostnames, ip }) => ({ ip, hostnames: [...hostnames] })),
    ...(about.address === undefined || about.hosts.length === 0
      ? []
      : [{ ip: about.address, hostnames: about.hosts.filter(isHostname) }])
  ]
  const pod: PodManifest = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: metadataOf(identity, about.name),
    spec: {
      ...basics(options),
      activeDeadlineSeconds: Math.ceil(Duration.toSeconds(about.deadline)),
      ...(hostAliases.length === 0 ? {} : { hostAliases }),
      ...(pulls.length === 0
        ? {}
        : { imagePullSecrets: pulls.map(({ metadata }) => ({ name: metadata?.name ?? "" })) }),
      ...(before.length === 0 ? {} : { initContainers: before }),
      containers: [container, ...beside],
      volumes: [...plan.volumes, ...volumes, ...(built?.volumes ?? [])].filter(({ name }) => used.has(name))
    }
  }
  return { pod: options.adjust?.(pod, roles) ?? pod, secrets: [...env.secret(), ...pulls], roles, services: new Map() }
}

/** What a planned container starts: nothing in it is meant for Kubernetes to expand. */
const startOf = ({ command, env }: BuiltContainer): Pick<Container, "command" | "env"> => ({
  ...(command === undefined ? {} : { command: command.map(literal) }),
  env: Object.entries(env).map(([name, value]) => ({ name, value: literal(value) }))
})
