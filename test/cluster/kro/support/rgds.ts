/** ResourceGraphDefinitions for one test each, gone afterwards: their kinds are of the whole cluster. */
import { randomBytes } from "node:crypto"
import { Effect } from "effect"
import type { KroInstance } from "jobscope/backends/kro/KroInstance"
import * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import type { KubeError } from "jobscope/backends/kubernetes/KubeError"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"

/** A kind that nobody else has; its plural is regular. */
export const uniqueKind = (): string => `Test${randomBytes(5).toString("hex").replace(/\d/g, "q")}r`

export const customResources = KubeResource.make<{
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly group: string
    readonly scope: string
    readonly names: { readonly plural: string }
    readonly versions: ReadonlyArray<{ readonly name: string }>
  }
}>({ group: "apiextensions.k8s.io", plural: "customresourcedefinitions", namespaced: false })

export interface Wanted {
  readonly kind?: string
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly schema?: object
  readonly spec?: object
  readonly status?: object
  readonly resources?: ReadonlyArray<object>
}

/** An expression of CEL, as templates have it. */
export const cel = (expression: string): string => `\${${expression}}`

/** The work: a pod of which `script` is the command. */
export const pod = (
  script: string,
  more: { readonly id?: string; readonly pod?: object; readonly node?: object } = {}
) => ({
  id: more.id ?? "runnerPod",
  readyWhen: [
    cel(["Succeeded", "Failed"].map((phase) => `${more.id ?? "runnerPod"}.status.phase == '${phase}'`).join(" || "))
  ],
  template: {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `${cel("schema.spec.runnerName")}-job`, namespace: cel("schema.metadata.namespace") },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      containers: [
        { name: "runner", image: "busybox:latest", imagePullPolicy: "IfNotPresent", command: ["sh", "-c", script] }
      ],
      ...more.pod
    }
  },
  ...more.node
})

/** Makes an RGD and waits until it is active, or inactive for good. */
export const makeRgd = Effect.fnUntraced(function* (wanted: Wanted) {
  const kube = yield* KubeClient.KubeClient
  const kind = wanted.kind ?? uniqueKind()
  const name = wanted.name ?? kind.toLowerCase()
  const made = yield* Effect.acquireRelease(
    kube.request({
      verb: "create",
      resource: Rgd.definitions,
      body: {
        apiVersion: "kro.run/v1alpha1",
        kind: "ResourceGraphDefinition",
        metadata: { name, labels: wanted.labels, annotations: wanted.annotations },
        spec: {
          schema: {
            apiVersion: "v1alpha1",
            kind,
            spec: wanted.spec ?? { runnerName: "string | required=true" },
            status: wanted.status ?? {},
            ...wanted.schema
          },
          resources: wanted.resources ?? [pod("exit 0")]
        }
      }
    }),
    () => Effect.orDie(removeRgd(name))
  )
  yield* Effect.repeat(Effect.delay(kube.request({ verb: "get", resource: Rgd.definitions, name }), "100 millis"), {
    until: (rgd) => Rgd.problemOf(rgd)?.transient !== true
  })
  return made
})

/** With its instances, whatever keeps them, and its CRD, which KRO leaves behind. */
export const removeRgd = Effect.fnUntraced(function* (name: string) {
  const kube = yield* KubeClient.KubeClient
  const gone = <A>(call: Effect.Effect<A, KubeError>) =>
    Effect.catchReason(call, "KubeError", "NotFound", () => Effect.undefined)
  const awaitGone = <A>(get: Effect.Effect<A, KubeError>) =>
    Effect.repeat(Effect.delay(gone(get), "50 millis"), { until: (found) => found === undefined })
  const crds = yield* kube.list({
    resource: customResources,
    query: { labelSelector: `kro.run/resource-graph-definition-name=${name}` }
  })
  for (const { spec } of crds.items) {
    const { group, names, scope, versions } = spec
    const version = versions[0]?.name ?? ""
    const namespaced = scope === "Namespaced"
    const resource = KubeResource.make<KroInstance>({ group, version, plural: names.plural, namespaced })
    for (const { metadata } of (yield* kube.list({ resource, namespace: "*" })).items) {
      const one = { resource, namespace: metadata.namespace, name: metadata.name }
      yield* gone(kube.request({ verb: "delete", ...one }))
      const released = yield* Effect.timeoutOption(awaitGone(kube.request({ verb: "get", ...one })), "10 seconds")
      if (released._tag === "Some") continue
      yield* gone(kube.request({ verb: "patch", ...one, body: { metadata: { finalizers: null } } }))
    }
  }
  yield* gone(kube.request({ verb: "delete", resource: Rgd.definitions, name }))
  yield* awaitGone(kube.request({ verb: "get", resource: Rgd.definitions, name }))
  for (const { metadata } of crds.items) {
    yield* gone(kube.request({ verb: "delete", resource: customResources, name: metadata.name }))
    yield* awaitGone(kube.request({ verb: "get", resource: customResources, name: metadata.name }))
  }
})
