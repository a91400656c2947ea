/** `kro-runner check`: what would go wrong, before a job finds out. `kro-runner role`: the rights that are needed. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as InstanceSpec from "../../backends/kro/InstanceSpec.ts"
import * as KroCalls from "../../backends/kro/KroCalls.ts"
import * as KroGraph from "../../backends/kro/KroGraph.ts"
import * as Rgd from "../../backends/kro/ResourceGraphDefinition.ts"
import * as RgdLint from "../../backends/kro/RgdLint.ts"
import * as KubeCalls from "../../backends/kubernetes/KubeCalls.ts"
import { KubeClient } from "../../backends/kubernetes/KubeClient.ts"
import * as KubeResource from "../../backends/kubernetes/KubeResource.ts"
import { type BackendError, ConfigurationInvalid, fail } from "../../domain/JobError.ts"
import * as JitSecret from "./JitSecret.ts"
import * as Runner from "./Runner.ts"
import * as RunnerPod from "./RunnerPod.ts"
import type { Settings } from "./Settings.ts"

/**
 * Runs one of them, and gives the exit code: 1 if a runner would not work.
 *
 * @category running
 */
export const run = Effect.fnUntraced(function* (
  settings: Settings,
  command: "check" | "role"
): Effect.fn.Return<number, never, KubeClient> {
  const report = command === "check" ? check(settings) : role(settings)
  return yield* Effect.catch(report, (error) => Effect.as(Console.log(`error: ${error.message}\n  ${error.advice}`), 1))
})

interface Looked {
  readonly namespace: string
  readonly pod: RunnerPod.RunnerPod | undefined
  readonly graph: KroGraph.Graph | undefined
  readonly rgd: Rgd.ResourceGraphDefinition
}

const look = Effect.fnUntraced(function* (settings: Settings): Effect.fn.Return<Looked, BackendError, KubeClient> {
  const kube = yield* KubeClient
  const namespace = settings.namespace ?? kube.namespace
  // Also outside of a runner pod: then without what only that knows.
  const pod = yield* Effect.orElseSucceed(RunnerPod.read(kube, namespace, settings.runnerName), () => undefined)
  const selector = Runner.selectorOf(settings, pod)
  if (selector === undefined) {
    const hint = "Give --scale-set-name or --rgd, or run in a runner pod of ARC."
    return yield* fail(new ConfigurationInvalid({ source: "--scale-set-name", detail: "it is not set", hint }))
  }
  const graphs = KroGraph.make(kube, selector)
  const rgd = yield* graphs.find
  return { namespace, pod, rgd, graph: yield* graphs.describe(rgd) }
})

const role = Effect.fnUntraced(function* (settings: Settings) {
  const { graph, namespace, rgd } = yield* look(settings)
  yield* Console.log(rolesOf(callsFor(settings, rgd, graph), namespace))
  return 0
})

const check = Effect.fnUntraced(function* (settings: Settings) {
  const { graph, namespace, pod, rgd } = yield* look(settings)
  const name = `ResourceGraphDefinition ${rgd.metadata.name}`
  let errors = 0
  const tell = (severity: "error" | "warning" | "ok", text: string, advice?: string) => {
    if (severity === "error") errors++
    return Console.log(`${severity.padEnd(7)} ${text}${advice === undefined ? "" : `\n        ${advice}`}`)
  }
  if (pod === undefined)
    yield* tell(
      "warning",
      `there is no pod ${settings.runnerName} in ${namespace}: what only it tells is not looked at`
    )

  const problem = Rgd.problemOf(rgd)
  if (problem === undefined) yield* tell("ok", `${name} is active`)
  else yield* tell("error", problem.detail, "See `kubectl describe resourcegraphdefinition`.")
  const findings = RgdLint.lint(rgd, {
    runnerName: pod === undefined ? undefined : settings.runnerName,
    gracePeriod: pod?.gracePeriod
  })
  for (const { advice, message, severity, where } of findings)
    yield* tell(severity, `${name}, ${where}: ${message}`, advice)
  if (findings.length === 0) yield* tell("ok", `${name} has none of the known mistakes`)

  if (graph !== undefined) {
    const { labels: _, ...fields } = Runner.offerOf(
      settings,
      pod ?? stranger(settings, namespace),
      settings.runnerName
    ).offered
    const filled = InstanceSpec.fill(graph.fields, {
      offered: new Map<string, unknown>([
        ["runnerName", settings.runnerName],
        ["namespace", namespace],
        ["labels", {}],
        ...Object.entries(fields)
      ]),
      wanted: new Map(Object.entries(settings.values)),
      otherwise: new Map(Object.entries(Runner.offerOf(settings, stranger(settings, namespace), "").otherwise ?? {}))
    })
    if (Result.isSuccess(filled)) yield* tell("ok", "every required field of the instance's spec can be filled")
    else {
      for (const { detail, field } of filled.failure) {
        yield* tell(
          "error",
          `spec.${field}: ${detail}`,
          "Give it a default in the schema, or a value by --set or KAR_SPEC."
        )
      }
    }
  }

  const calls = callsFor(settings, rgd, graph)
  const missing = (yield* Effect.forEach(
    calls,
    Effect.fnUntraced(function* (call) {
      return { call, allowed: yield* mayI(call.scope === "cluster" ? undefined : namespace, call) }
    }),
    { concurrency: 8 }
  )).filter(({ allowed }) => !allowed)
  for (const { call } of missing) {
    const what = `no right to ${call.verb} ${call.resource}${call.group === "" ? "" : `.${call.group}`}: ${call.purpose}`
    yield* tell(
      call.without === undefined ? "error" : "warning",
      what,
      call.without === undefined ? undefined : `Without it ${call.without}.`
    )
  }
  if (missing.length === 0) yield* tell("ok", "every right that may be used is there")
  else
    yield* Console.log(
      `\nThese rules are missing:\n\n${rolesOf(
        missing.map(({ call }) => call),
        namespace
      )}`
    )
  return errors === 0 ? 0 : 1
})

interface Call extends KubeCalls.KubeCall {
  readonly scope: "cluster" | "namespace"
}

const callsFor = (
  settings: Settings,
  rgd: Rgd.ResourceGraphDefinition,
  graph: KroGraph.Graph | undefined
): ReadonlyArray<Call> => {
  const verb = settings.rgd === undefined ? "list" : "get"
  const own = JitSecret.kindFor(rgd, settings.jitSecret) === "own"
  const used = [
    ...(graph === undefined
      ? []
      : KroCalls.callsFor({
          instances: graph.instances,
          ...(graph.work === undefined ? {} : { work: graph.work.resource })
        })),
    ...KroCalls.runnerCalls,
    ...(own ? KroCalls.secretCalls : [])
  ]
  // Only the RGD itself is looked at again by name: when a release takes long.
  const ofCluster = KroCalls.clusterCalls.filter((call) => call.verb === verb || call.verb === "get")
  const wide = graph?.instances.namespaced === false ? graph.instances.plural : undefined
  return [
    ...ofCluster.map((call): Call => ({ ...call, scope: "cluster" })),
    ...used.map((call): Call => ({ ...call, scope: call.resource === wide ? "cluster" : "namespace" }))
  ]
}

const rolesOf = (calls: ReadonlyArray<Call>, namespace: string): string => {
  const ofCluster = calls.filter(({ scope }) => scope === "cluster")
  const ofNamespace = calls.filter(({ scope }) => scope === "namespace")
  return [
    ...(ofCluster.length === 0
      ? []
      : [KubeCalls.renderRole({ kind: "ClusterRole", name: "kro-runner", calls: ofCluster })]),
    ...(ofNamespace.length === 0 ? [] : [KubeCalls.renderRole({ name: "kro-runner", namespace, calls: ofNamespace })])
  ].join("---\n")
}

/** A check outside of a runner pod. */
const stranger = ({ runnerName }: Settings, namespace: string): RunnerPod.RunnerPod => ({
  name: runnerName,
  namespace,
  uid: "",
  labels: {},
  annotations: {},
  gracePeriod: 30
})

const reviews = KubeResource.make<{ readonly status?: { readonly allowed?: boolean } }>({
  group: "authorization.k8s.io",
  plural: "selfsubjectaccessreviews",
  namespaced: false
})

const mayI = Effect.fnUntraced(function* (
  namespace: string | undefined,
  { group, resource, verb }: KubeCalls.KubeCall
) {
  const kube = yield* KubeClient
  const [plural, subresource] = resource.split("/")
  const resourceAttributes = {
    group,
    verb,
    resource: plural,
    ...(subresource === undefined ? {} : { subresource }),
    ...(namespace === undefined ? {} : { namespace })
  }
  const review = yield* kube
    .request({
      verb: "create",
      resource: reviews,
      body: { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec: { resourceAttributes } }
    })
    .pipe(Effect.mapError((error) => KroCalls.explain(error)))
  return review.status?.allowed === true
})
