/**
 * What a pod backend can be told: where its pods go, whose they are, how files get into them.
 */
import type { V1Pod } from "@kubernetes/client-node"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { JobSpec } from "../../domain/Job.ts"
import type { BackendError } from "../../domain/JobError.ts"
import type { Builder } from "../dockerfile/Builder.ts"
import type { Wire } from "../kubernetes/KubeResource.ts"

/** A pod as JSON. */
export type PodManifest = Wire<V1Pod>

/**
 * How files of this machine, the sources of mounts and the workspace, get into pods.
 *
 * @category models
 */
export type Sharing = ClaimSharing | CopySharing

/**
 * One volume is mounted here and in the pods: a mount is a directory of that volume.
 *
 * @category models
 */
export interface ClaimSharing {
  readonly _tag: "Claim"
  /** Name of the PersistentVolumeClaim. */
  readonly claim: string
  /** The directory of the claim that is mounted at `root`, where it is not the top. */
  readonly subPath?: string | undefined
  /** Where this process sees it. */
  readonly root: string
  /**
   * A directory under `root` for what this process and the pods tell each other. Made if it is missing. Default `<root>/.jobscope`.
   */
  readonly stateDirectory?: string | undefined
}

/**
 * Nothing is shared: files travel over exec, to the pod before the first step, and changes in both directions with each step.
 *
 * @category models
 */
export interface CopySharing {
  readonly _tag: "Copy"
  /**
   * Globs, relative to each mount's source, of what comes back from the pod after every step that has changed it. Default: nothing.
   */
  readonly returned?: ReadonlyArray<string> | undefined
  /**
   * Directories of this machine, inside of sources of mounts, that are looked through for changes before every step; the others are copied
   * once. Default: none.
   */
  readonly watched?: ReadonlyArray<string> | undefined
  /**
   * Directories of this machine, inside of sources of mounts, in which each file belongs to the one step whose variables name its path in the
   * container: it goes there with that step, and comes back with it, whatever other steps do at the same time. Default: none.
   */
  readonly perStep?: ReadonlyArray<string> | undefined
  /** Paths of this machine that are never copied. */
  readonly excluded?: ReadonlyArray<string> | undefined
  /** Where another process finds what has been copied; needed for `watched` across processes. Default: only this process knows. */
  readonly stateDirectory?: string | undefined
}

/**
 * Where pods may run.
 *
 * @category models
 */
export type Placement =
  /** As the scheduler finds best. */
  | { readonly _tag: "Anywhere" }
  /** On this node by affinity; `required` for volumes that only one node can mount. */
  | { readonly _tag: "Near"; readonly node: string; readonly required: boolean }
  /** On this node, the scheduler is not asked. */
  | { readonly _tag: "On"; readonly node: string }

/**
 * The object that, when it goes, takes everything of ours with it.
 *
 * @category models
 */
export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
}

/** What a container of the pod is for. */
export type ContainerRole = "job" | "service" | "step"

/** @category options */
export interface Options {
  /** Default: the client's. */
  readonly namespace?: string | undefined
  /** Default `Copy`. */
  readonly sharing?: Sharing | undefined
  /**
   * How steps and their output travel. `volume`: through the shared volume, without a call of the API; `exec`: through the API server.
   * Default `auto`: the volume where there is one and the pod answers through it, else exec.
   */
  readonly transport?: "auto" | "volume" | "exec" | undefined
  /** Default `Anywhere`. */
  readonly placement?: Placement | undefined
  /** Put on every object, beside those of the job and ours. */
  readonly labels?: Readonly<Record<string, string>> | undefined
  /**
   * A label whose value is the job's owner, for other programs that clean up by it, and by which `release` and `list` also find what others
   * made for that owner: `runner-pod` for Actions Runner Controller.
   */
  readonly ownerLabel?: string | undefined
  readonly ownerReference?: OwnerReference | undefined
  /** Name of the environment, which is its pod's. Default: the job's name with a random end. */
  readonly nameOf?: ((spec: JobSpec) => string) | undefined
  /** Names of step pods and secrets. Default `<environment>-step-<id>` and `<environment>-secret-<id>`, shortened. */
  readonly childName?: ((environment: string, kind: "step" | "secret", id: string) => string) | undefined
  /** The last word on every pod before it is created, with the roles of its containers by name. */
  readonly adjust?: ((pod: PodManifest, roles: ReadonlyMap<string, ContainerRole>) => PodManifest) | undefined
  /** Said of environments from the beginning on, for callers that always hand over, and may not change pods. Default `held`. */
  readonly custody?: "held" | "handed-over" | undefined
  /** The service account of the pods; its token is mounted only if `automountToken`. Default: the namespace's, without token. */
  readonly serviceAccount?: string | undefined
  readonly automountToken?: boolean | undefined
  /**
   * `constant`: a lost environment is noticed by itself, through one watch for all environments of this backend. `on-demand`: when a step's
   * connection or process ends without its end, without any request before that; for processes that live as long as one step. Default
   * `constant`.
   */
  readonly vigilance?: "constant" | "on-demand" | undefined
  /**
   * `reused`: the bytes of an output chunk are valid only until the next one is asked for, so that no memory piles up until it is collected,
   * however much a step writes. For callers that are done with a chunk by then. Default `fresh`.
   */
  readonly outputMemory?: "fresh" | "reused" | undefined
  /** How long a failing image pull is believed to heal. Default 0: the first failure counts. */
  readonly imagePullGrace?: Duration.Input | undefined
  /** How long "no node takes it" is believed to heal, for clusters that grow. Default: as long as provisioning may take. */
  readonly scheduleGrace?: Duration.Input | undefined
  /** Containers before the job's, for example one that brings files of another image. */
  readonly initContainers?: ReadonlyArray<NonNullable<PodManifest["spec"]>["containers"][number]> | undefined
  /** Volumes that only pods know, by name; a mount's source may name them. */
  readonly volumes?: ReadonlyArray<NonNullable<NonNullable<PodManifest["spec"]>["volumes"]>[number]> | undefined
  /**
   * Ports that name one of the host take it on their node (`hostPort`): a second such job does not fit there. Default false: nothing of the
   * node is taken, all containers of a job share one address anyway.
   */
  readonly hostPorts?: boolean | undefined
  /** What container steps of a Dockerfile are made by; asked for when there is one. Default: the inline builder, which needs nothing. */
  readonly builder?: Effect.Effect<Builder["Service"], BackendError> | undefined
  /** How a build shows in a step's output: `github` folds each `RUN`, and takes nothing in it for a workflow command. Default `plain`. */
  readonly buildLog?: "plain" | "github" | undefined
  /** The settings that raise privilege (`privileged`, `capAdd`, user 0 where the image has none) are allowed. Default false. */
  readonly allowPrivileged?: boolean | undefined
}
