/**
 * An RGD as it is used: looked up once, with the kinds that it makes as the API serves them; their plurals and scopes are never guessed.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as JobError from "../../domain/JobError.ts"
import type { KubeClient } from "../kubernetes/KubeClient.ts"
import type { KubeError } from "../kubernetes/KubeError.ts"
import * as KubeResource from "../kubernetes/KubeResource.ts"
import type { Child } from "./ChildView.ts"
import { persist } from "./internal/persisting.ts"
import * as KroCalls from "./KroCalls.ts"
import type { KroInstance } from "./KroInstance.ts"
import type { RgdSelector } from "./KroOptions.ts"
import * as Rgd from "./ResourceGraphDefinition.ts"
import * as SimpleSchema from "./SimpleSchema.ts"

/** @category models */
export interface Graph {
  readonly rgd: Rgd.ResourceGraphDefinition
  readonly instances: KubeResource.KubeResource<KroInstance>
  readonly kind: Rgd.GroupVersionKind
  /** Of the instance's spec. */
  readonly fields: SimpleSchema.Fields
  /** The work, and where objects of its kind are. */
  readonly work?: Rgd.Work & { readonly resource: KubeResource.KubeResource<Child> }
  readonly resultField?: string
}

/** @category models */
export interface Graphs {
  /** The RGD, in whatever state it is. */
  readonly find: Effect.Effect<Rgd.ResourceGraphDefinition, JobError.BackendError>
  /** The kinds of an RGD; nothing if the API does not serve its instances. */
  readonly describe: (rgd: Rgd.ResourceGraphDefinition) => Effect.Effect<Graph | undefined, JobError.BackendError>
  /** An RGD of which instances can be made now. `waiting` is told what for, where that is soon. */
  readonly resolve: (waiting: (reason: string) => Effect.Effect<void>) => Effect.Effect<Graph, JobError.BackendError>
  /** Where objects of a kind are; nothing if the API does not serve it. */
  readonly discover: (
    kind: Rgd.GroupVersionKind
  ) => Effect.Effect<KubeResource.KubeResource<never> | undefined, KubeError>
}

/** How long an RGD that KRO still works on is waited for: right after an RGD was applied. */
const patience = Duration.seconds(30)

/** @category constructors */
export const make = (kube: KubeClient["Service"], selector: RgdSelector): Graphs => {
  /** Kinds are for ever; one look each. */
  const kinds = new Map<string, KubeResource.KubeResource<never>>()

  const discover = Effect.fnUntraced(function* ({ group, kind, version }: Rgd.GroupVersionKind) {
    const key = `${group}/${version}/${kind}`
    const known = kinds.get(key)
    if (known !== undefined) return known
    if (group === "" && kind === "Pod") return KubeResource.make<never>({ plural: "pods" })
    const resource = KubeResource.make<ApiResources>({ group, version, plural: "", namespaced: false })
    const { resources } = yield* persist(kube.request({ verb: "get", resource })).pipe(
      Effect.catchReason("KubeError", "NotFound", () => Effect.succeed({ resources: [] }))
    )
    const found = resources.find((entry) => entry.kind === kind && !entry.name.includes("/"))
    if (found === undefined) return undefined
    const made = KubeResource.make<never>({ group, version, plural: found.name, namespaced: found.namespaced })
    kinds.set(key, made)
    return made
  })

  const find = Effect.gen(function* (): Effect.fn.Return<Rgd.ResourceGraphDefinition, JobError.BackendError> {
    const resource = Rgd.definitions
    if ("name" in selector) {
      return yield* persist(kube.request({ verb: "get", resource, name: selector.name })).pipe(
        Effect.catchReason("KubeError", "NotFound", () =>
          fail(`there is no ResourceGraphDefinition ${selector.name}, or KRO is not installed`)
        ),
        Effect.catchTag("KubeError", (error) => Effect.fail(KroCalls.explain(error)))
      )
    }
    const labelSelector = Object.entries(selector.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(",")
    const { items } = yield* persist(kube.list({ resource, query: { labelSelector } })).pipe(
      Effect.catchReason("KubeError", "NotFound", () =>
        fail("the cluster has no ResourceGraphDefinitions: KRO is not installed")
      ),
      Effect.catchTag("KubeError", (error) => Effect.fail(KroCalls.explain(error)))
    )
    const [first, second] = items
    if (first === undefined) return yield* fail(`no ResourceGraphDefinition has the label ${labelSelector}`)
    if (second === undefined) return first
    const names = items.map(({ metadata }) => metadata.name).join(", ")
    return yield* fail(`${items.length} ResourceGraphDefinitions have the label ${labelSelector}: ${names}`)
  })

  const describe = Effect.fnUntraced(function* (
    rgd: Rgd.ResourceGraphDefinition
  ): Effect.fn.Return<Graph | undefined, JobError.BackendError> {
    const fields = SimpleSchema.parse(rgd.spec.schema.spec, rgd.spec.schema.types)
    if (Result.isFailure(fields)) return yield* invalid(rgd, `schema.spec.${fields.failure}`)
    const work = Rgd.workOf(rgd)
    if (Predicate.isString(work)) return yield* invalid(rgd, work)
    const kind = Rgd.kindOf(rgd)
    const [instances, workResource] = yield* Effect.all(
      [discover(kind), work === undefined ? Effect.undefined : discover(work.kind)],
      { concurrency: 2 }
    ).pipe(Effect.mapError((error) => KroCalls.explain(error)))
    if (instances === undefined) return undefined
    const resultField = Rgd.resultFieldOf(rgd)
    return {
      rgd,
      instances,
      kind,
      fields: fields.success,
      ...(work === undefined || workResource === undefined ? {} : { work: { ...work, resource: workResource } }),
      ...(resultField === undefined ? {} : { resultField })
    }
  })

  const resolve = Effect.fnUntraced(function* (
    waiting: (reason: string) => Effect.Effect<void>
  ): Effect.fn.Return<Graph, JobError.BackendError> {
    const started = yield* Clock.currentTimeMillis
    while (true) {
      const rgd = yield* find
      let problem = Rgd.problemOf(rgd)
      if (problem === undefined) {
        const graph = yield* describe(rgd)
        if (graph !== undefined) return graph
        const { group, kind, version } = Rgd.kindOf(rgd)
        problem = { detail: `the API does not serve ${kind} in ${group}/${version}`, transient: true }
      }
      const now = yield* Clock.currentTimeMillis
      if (!problem.transient || now - started > Duration.toMillis(patience))
        return yield* fail(problem.detail, problem.transient)
      yield* waiting(problem.detail)
      yield* Effect.sleep("500 millis")
    }
  })

  return { find, describe, resolve, discover }
}

/** What the API says of a group and version. */
interface ApiResources {
  readonly resources: ReadonlyArray<{ readonly name: string; readonly kind: string; readonly namespaced: boolean }>
}

const fail = (detail: string, transient = false) => JobError.fail(new JobError.ProvisionFailed({ detail, transient }))

const invalid = (rgd: Rgd.ResourceGraphDefinition, detail: string) =>
  JobError.fail(new JobError.InvalidInput({ input: `the ResourceGraphDefinition ${rgd.metadata.name}`, detail }))
