/**
 * The administrator's say in what pods look like: the extension of GitHub's container hooks for Kubernetes, as a pure function on a pod.
 *
 * **Details**
 *
 * A template has the shape of a pod. Its containers called `$job` and `$<service>` are laid over those of the pod, others are added as
 * side-cars. Where GitHub's own hooks make a pod that cannot work (an init container, a security context or a pull secret of theirs is thrown
 * away when the template has one; the label by which everything is found again can be overwritten), this merges instead;
 * docs/migration.md has the list. `strict` is for templates that rely on the replacement.
 *
 * **Example**
 *
 * ```yaml
 * metadata:
 *   labels: { team: build }
 * spec:
 *   nodeSelector: { pool: ci }
 *   containers:
 *     - name: $job
 *       resources: { requests: { cpu: "2" } }
 * ```
 */
import * as Yaml from "effect/encoding/Yaml"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { mergeAffinity } from "./internal/affinity.ts"
import type { ContainerRole, PodManifest } from "./PodOptions.ts"

const open = Schema.Record(Schema.String, Schema.Unknown)
const nullish = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const texts = nullish(Schema.Record(Schema.String, Schema.String))

const Container = Schema.StructWithRest(Schema.Struct({ name: Schema.String }), [open])

/** @category schemas */
export const PodTemplate = Schema.Struct({
  metadata: nullish(Schema.Struct({ labels: texts, annotations: texts })),
  spec: nullish(
    Schema.StructWithRest(
      Schema.Struct({ containers: nullish(Schema.Array(Container)), initContainers: nullish(Schema.Array(Container)) }),
      [open]
    )
  )
})

/** @category models */
export type PodTemplate = typeof PodTemplate.Type

/**
 * Reads a template's YAML; the failure says what is wrong with it.
 *
 * @category decoding
 */
export const parse = (yaml: string): Result.Result<PodTemplate, string> =>
  Result.try({
    try: (): unknown => Yaml.parse(yaml),
    catch: (cause) => (cause instanceof Error ? cause.message : String(cause))
  }).pipe(
    Result.flatMap((value) =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? Result.mapError(Schema.decodeResult(PodTemplate)(value), (error) => error.message)
        : Result.fail("it is no mapping with `metadata` and `spec`")
    )
  )

/** @category options */
export interface Options {
  /** What the template has replaces what the pod has, as in GitHub's own hooks. Default false. */
  readonly strict?: boolean | undefined
  /** Labels and annotations that stay as they are, beside those of jobscope. Default `runner-pod`. */
  readonly protect?: ReadonlyArray<string> | undefined
}

/**
 * Lays a template over a pod; the warnings say what of it was not done.
 *
 * @category combining
 */
export const apply = (
  template: PodTemplate,
  pod: PodManifest,
  roles: ReadonlyMap<string, ContainerRole>,
  options: Options = {}
): { readonly pod: PodManifest; readonly warnings: ReadonlyArray<string> } => {
  const merging = new Merging(options.strict ?? false, options.protect ?? ["runner-pod"])
  const { metadata, spec } = template
  const result = {
    ...pod,
    metadata: {
      ...pod.metadata,
      labels: merging.texts("label", pod.metadata?.labels, metadata?.labels),
      annotations: merging.texts("annotation", pod.metadata?.annotations, metadata?.annotations)
    },
    spec: merging.spec(pod.spec ?? { containers: [] }, spec ?? {}, roles)
  }
  // What the template brings is checked by the API server, which knows the pods of its version.
  return { pod: result as PodManifest, warnings: merging.warnings }
}

type Json = Readonly<Record<string, unknown>>
type Named = Json & { readonly name: string }

class Merging {
  readonly warnings: Array<string> = []
  private readonly strict: boolean
  private readonly protect: ReadonlyArray<string>

  constructor(strict: boolean, protect: ReadonlyArray<string>) {
    this.strict = strict
    this.protect = protect
  }

  texts(
    kind: string,
    base: Readonly<Record<string, string>> | undefined,
    extra: Readonly<Record<string, string>> | null | undefined
  ): Record<string, string> {
    const merged = { ...base }
    for (const [key, value] of Object.entries(extra ?? {})) {
      if (this.protect.includes(key) || key.startsWith("jobscope.dev/")) {
        if (merged[key] !== value) {
          this.warnings.push(`The ${kind} ${key} of the pod template is ignored: pods are found and cleaned up by it.`)
        }
        continue
      }
      if (Object.hasOwn(merged, key) && merged[key] !== value) {
        this.warnings.push(`The ${kind} ${key} is overwritten by the pod template.`)
      }
      merged[key] = value
    }
    return merged
  }

  spec(
    base: NonNullable<PodManifest["spec"]>,
    extra: NonNullable<PodTemplate["spec"]>,
    roles: ReadonlyMap<string, ContainerRole>
  ): Json {
    const { containers, initContainers, ...rest } = extra
    const merged: Record<string, unknown> = { ...base }
    for (const [key, value] of Object.entries(rest)) {
      if (value === null || value === undefined) continue
      merged[key] = this.podField(key, merged[key], value)
    }
    // A service account that was named is meant to be used, unless the template says otherwise.
    if (rest.serviceAccountName !== undefined && rest.automountServiceAccountToken === undefined) {
      delete merged.automountServiceAccountToken
    }
    merged.containers = this.containers(base.containers, containers ?? [], roles)
    if (initContainers !== undefined && initContainers !== null) {
      merged.initContainers = this.initContainers(base.initContainers ?? [], initContainers)
    }
    return merged
  }

  private podField(key: string, base: unknown, extra: unknown): unknown {
    if (key === "volumes") return [...without("name", items(base), this.strict ? [] : items(extra)), ...items(extra)]
    if (this.strict) return extra
    switch (key) {
      case "securityContext":
      case "nodeSelector":
        return { ...record(base), ...record(extra) }
      case "imagePullSecrets":
        return [...without("name", items(base), items(extra)), ...items(extra)]
      case "hostAliases":
      case "tolerations":
        return [...items(base), ...items(extra)]
      case "affinity":
        return mergeAffinity(record(base), record(extra))
      case "restartPolicy":
        if (base === undefined || base === extra) return extra
        this.warnings.push(
          `restartPolicy: ${extra} of the pod template is ignored: a step cannot go on in a new container.`
        )
        return base
      default:
        return extra
    }
  }

  private containers(
    base: ReadonlyArray<Named>,
    extra: ReadonlyArray<Named>,
    roles: ReadonlyMap<string, ContainerRole>
  ): ReadonlyArray<Json> {
    const used = new Set<Named>()
    const merged = base.map((container) => {
      const role = roles.get(container.name)
      const overlays =
        role === undefined ? [] : extra.filter((overlay) => this.isFor(overlay.name, container.name, role, extra))
      for (const overlay of overlays) used.add(overlay)
      return overlays.reduce<Json>((result, overlay) => this.container(result, overlay, role), container)
    })
    const sideCars = extra.filter(({ name }) => !name.startsWith("$"))
    const isJobPod = Array.from(roles.values()).includes("job")
    for (const overlay of extra) {
      // In a step's pod there are no services, and nothing is wrong with that.
      if (overlay.name.startsWith("$") && !used.has(overlay) && (isJobPod || overlay.name === "$job")) {
        this.warnings.push(`The pod template's container ${overlay.name} fits no container of this job.`)
      }
    }
    return [...merged, ...sideCars]
  }

  private isFor(overlay: string, name: string, role: ContainerRole, all: ReadonlyArray<Named>): boolean {
    if (role !== "service") return overlay === "$job"
    if (overlay === `$${name}`) return true
    // Several services of one image are numbered: `$redis` is for each of them that has no overlay of its own.
    return (
      !this.strict &&
      overlay.startsWith("$") &&
      name.replace(/-\d+$/, "") === overlay.slice(1) &&
      !all.some((other) => other.name === `$${name}`)
    )
  }

  private initContainers(base: ReadonlyArray<Named>, extra: ReadonlyArray<Named>): ReadonlyArray<Json> {
    if (this.strict) return extra
    return [
      ...base.map((container) => {
        const overlay = extra.find(({ name }) => name === `$${container.name}`)
        return overlay === undefined ? container : this.container(container, overlay, undefined)
      }),
      ...extra.filter(({ name }) => !name.startsWith("$"))
    ]
  }

  private container(base: Json, overlay: Named, role: ContainerRole | undefined): Json {
    const merged: Record<string, unknown> = { ...base }
    for (const [key, value] of Object.entries(overlay)) {
      if (key === "name" || value === null || value === undefined) continue
      if (key === "image") {
        this.warnings.push(`The image of the pod template's container ${overlay.name} is ignored: the job names it.`)
        continue
      }
      // A container step is what its entry point and arguments say, not what the job's container is made to stay alive with.
      if (role === "step" && !this.strict && ["command", "args", "workingDir"].includes(key)) continue
      merged[key] = this.containerField(key, merged[key], value)
    }
    return merged
  }

  private containerField(key: string, base: unknown, extra: unknown): unknown {
    const append = (identity: string) => [
      ...without(identity, items(base), this.strict ? [] : items(extra)),
      ...items(extra)
    ]
    switch (key) {
      case "env":
        return append("name")
      case "volumeMounts":
        return append("mountPath")
      case "ports":
        return append("containerPort")
      case "envFrom":
        // A step's own variables are in there.
        return [...items(base), ...items(extra)]
      case "securityContext":
        return this.strict ? extra : { ...record(base), ...record(extra) }
      case "resources":
        return this.strict ? extra : mergeResources(record(base), record(extra))
      default:
        return extra
    }
  }
}

const record = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {}

const items = (value: unknown): ReadonlyArray<Json> => (Array.isArray(value) ? value.map(record) : [])

/** The items that none of the others replaces. */
const without = (identity: string, base: ReadonlyArray<Json>, others: ReadonlyArray<Json>): ReadonlyArray<Json> =>
  base.filter((item) => !others.some((other) => other[identity] === item[identity]))

/** The template's are the default, and what a job asks for itself counts, one resource at a time. */
const mergeResources = (base: Json, extra: Json): Json => {
  const limits = { ...record(extra.limits), ...record(base.limits) }
  const own = record(base.requests)
  // A job's own limit is its request, too: the template's may be above it.
  const requests = Object.fromEntries(
    Object.entries({ ...record(extra.requests), ...own }).filter(
      ([name]) => Object.hasOwn(own, name) || !Object.hasOwn(record(base.limits), name)
    )
  )
  return { ...extra, ...base, limits, requests }
}
