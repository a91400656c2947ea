import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { KroInstance } from "jobscope/backends/kro/KroInstance"
import * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { TestNamespace, layer as testNamespace } from "../support/testNamespace.ts"
import { cel, makeRgd, pod, removeRgd, uniqueKind } from "./support/rgds.ts"
import { eventually, nothingLeft, runnerPod, scene, startRunner } from "./support/runner.ts"

const label = (name: string) => ({ "actions.github.com/scale-set-name": name })

/** Runs it, and gives the termination message of a failure. */
const failing = Effect.fnUntraced(function* (name: string, ...args: ReadonlyArray<string>) {
  const runner = yield* startRunner(name, { args })
  const ended = yield* runner.ended
  assert.strictEqual(ended.code, 1, ended.stderr)
  assert.notInclude(ended.stderr, "POST /apis/kro.run", "something was made")
  return ended.termination
})

layer(testNamespace, { excludeTestServices: true, timeout: "3 minutes" })("kro-runner and RGDs", (it) => {
  it.effect("says that there is none, or more than one", () =>
    Effect.gen(function* () {
      yield* runnerPod("which", { labels: label("which") })
      assert.match(
        yield* failing("which"),
        /no ResourceGraphDefinition has the label actions\.github\.com\/scale-set-name=which/
      )
      assert.match(yield* failing("which", "--rgd", "nobody"), /there is no ResourceGraphDefinition nobody/)
      const one = yield* makeRgd({ labels: label("which") })
      const two = yield* makeRgd({ labels: label("which") })
      const told = yield* failing("which")
      assert.match(told, /2 ResourceGraphDefinitions have the label/)
      assert.include(told, one.metadata.name)
      assert.include(told, two.metadata.name)
      const named = yield* startRunner("which", { args: ["--rgd", one.metadata.name] })
      assert.strictEqual((yield* named.ended).code, 0)
    })
  )

  it.effect("says why one is not active", () =>
    Effect.gen(function* () {
      yield* scene("false", { resources: [pod(cel("schema.spec.nothing"))] })
      assert.match(yield* failing("false"), /is Inactive: (?:ResourceGraph|Graph)Accepted is False/)
    })
  )

  it.effect("does not use a kind that belongs to another one", () =>
    Effect.gen(function* () {
      const kind = uniqueKind()
      yield* makeRgd({ kind, name: `${kind.toLowerCase()}-first` })
      yield* scene("second", { kind, name: `${kind.toLowerCase()}-second` })
      assert.match(yield* failing("second"), /KindReady is False.*another ResourceGraphDefinition/)
    })
  )

  it.effect("makes nothing where a required field cannot be filled", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("needs", {
        spec: {
          runnerName: "string | required=true",
          subnet: "string | required=true",
          size: 'string | enum="s,l" default=s'
        }
      })
      assert.match(
        yield* failing("needs"),
        /^InvalidInput: .*spec\.subnet: it is required, and there is no value for it/
      )
      assert.match(
        yield* failing("needs", "--set", "subnet=a", "--set", "size=xl"),
        /spec\.size: its value is not one of s, l/
      )
      assert.match(
        yield* failing("needs", "--set", "subnet=a", "--set", "colour=red"),
        /spec\.colour: the schema does not declare it/
      )
      const given = yield* startRunner("needs", { args: ["--set", "subnet=a", "--set", "size=l"] })
      assert.strictEqual((yield* given.ended).code, 0)
      yield* nothingLeft(kind, "needs")
    })
  )

  it.effect("tells of mistakes that KRO accepts", () =>
    Effect.gen(function* () {
      yield* scene("lint", {
        resources: [
          pod("exit 0", {
            pod: { restartPolicy: "OnFailure" },
            node: { readyWhen: [cel("runnerPod.status.phase == 'Running'")] }
          })
        ]
      })
      const check = yield* startRunner("lint", { args: ["check"] })
      const { code, stdout } = yield* check.ended
      assert.strictEqual(code, 1)
      assert.match(stdout, /error .*resources\.runnerPod\.spec\.restartPolicy/)
      assert.match(stdout, /warning .*resources\.runnerPod\.readyWhen/)
    })
  )

  it.effect("is not misled by a readiness that is true while the runner runs", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("eager", {
        resources: [
          pod("sleep 3; exit 0", { node: { readyWhen: [cel("runnerPod.status.phase in ['Running', 'Succeeded']")] } })
        ]
      })
      const runner = yield* startRunner("eager")
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.match(ended.stderr, /ended with exit code 0/)
      yield* nothingLeft(kind, "eager")
    })
  )

  it.effect("goes by a status field that the RGD names, and by readiness only as a last resort", () =>
    Effect.gen(function* () {
      const config = {
        id: "config",
        template: {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: `${cel("schema.spec.runnerName")}-config` },
          data: { verdict: "Failed" }
        }
      }
      yield* scene("field", {
        status: { verdict: cel("config.data.verdict") },
        annotations: { "jobscope.dev/result-field": "verdict" },
        resources: [config]
      })
      const field = yield* startRunner("field")
      const told = yield* field.ended
      assert.strictEqual(told.code, 1, told.stderr)
      assert.include(told.stderr, "status.verdict of the instance tells 1")

      yield* scene("ready", { resources: [config] })
      const ready = yield* startRunner("ready")
      const inferred = yield* ready.ended
      assert.strictEqual(inferred.code, 0, inferred.stderr)
      assert.match(inferred.termination, /taken to have finished/)
      const strict = yield* startRunner("ready", { env: { KAR_STRICT: "true" } })
      assert.match((yield* strict.ended).termination, /nothing but readiness would tell/)
    })
  )

  it.effect("follows instances whose conditions are the author's, and none of KRO's", () =>
    Effect.gen(function* () {
      const own = (status: string) => ({
        conditions: [cel(`runtime.newCondition({type: 'Warm', status: ${status}, reason: 'Own', message: ''})`)]
      })
      const running = "runnerPod.status.phase == 'Running' ? 'True' : 'False'"
      const { kind } = yield* scene("authored", { status: own(running), resources: [pod("sleep 1; exit 0")] })
      const runner = yield* startRunner("authored")
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      yield* nothingLeft(kind, "authored")

      const template = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "authored-config" } }
      yield* scene("cold", {
        status: own("has(config.metadata.uid) ? 'False' : 'Unknown'"),
        resources: [{ id: "config", template }]
      })
      const inferred = yield* (yield* startRunner("cold")).ended
      assert.strictEqual(inferred.code, 0, inferred.stderr)
      assert.match(inferred.termination, /taken to have finished/)
    })
  )

  for (const [suffix, plural] of [
    ["Proxy", "proxies"],
    ["Box", "boxes"],
    ["Bench", "benches"],
    ["Runners", "runners"],
    ["Class", "classes"]
  ] as const) {
    it.effect(`asks the API for the plural of …${suffix}`, () =>
      Effect.gen(function* () {
        const name = `plural-${suffix.toLowerCase()}`
        yield* scene(name, { kind: `${uniqueKind()}${suffix}` })
        const runner = yield* startRunner(name)
        const ended = yield* runner.ended
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.match(ended.stderr, new RegExp(`POST /apis/kro.run/v1alpha1/namespaces/[^/]+/[a-z]+${plural} 201`))
      })
    )
  }

  it.effect("serves other groups and versions, and instances of the whole cluster", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      yield* scene("grouped", { schema: { group: "acme.io", apiVersion: "v2" } })
      const grouped = yield* startRunner("grouped")
      const ended = yield* grouped.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.match(ended.stderr, /POST \/apis\/acme\.io\/v2\/namespaces\//)

      const { kind } = yield* scene("wide", {
        schema: { scope: "Cluster" },
        spec: { runnerName: "string | required=true", namespace: "string | required=true" },
        resources: [
          pod("sleep 1; exit 0", {
            node: {
              template: {
                ...pod("sleep 1; exit 0").template,
                metadata: { name: `${cel("schema.spec.runnerName")}-job`, namespace: cel("schema.spec.namespace") }
              }
            }
          })
        ]
      })
      const wide = yield* startRunner("wide")
      const ran = yield* wide.ended
      assert.strictEqual(ran.code, 0, ran.stderr)
      assert.match(ran.stderr, /ended with exit code 0/)
      const instances = KubeResource.make<KroInstance>({
        group: "kro.run",
        version: "v1alpha1",
        plural: `${kind.toLowerCase()}s`,
        namespaced: false
      })
      assert.deepStrictEqual((yield* kube.list({ resource: instances })).items, [])
      const pods = yield* kube.list({
        resource: KubeResource.pods,
        namespace,
        query: { labelSelector: "kro.run/instance-name=wide" }
      })
      assert.deepStrictEqual(pods.items, [])
    })
  )

  it.effect("removes the work itself when the RGD is gone, and says what KRO does not remove", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const { instances, rgd } = yield* scene("orphan", { resources: [pod("sleep 4; exit 0")] })
      const runner = yield* startRunner("orphan")
      yield* runner.says("The runner runs")
      yield* kube.request({ verb: "delete", resource: Rgd.definitions, name: rgd })
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.match(ended.stderr, new RegExp(`could not be released: .*its ResourceGraphDefinition ${rgd} is gone`))
      const pods = yield* kube.list({
        resource: KubeResource.pods,
        namespace,
        query: { labelSelector: "kro.run/instance-name=orphan" }
      })
      assert.deepStrictEqual(pods.items, [])
      const left = yield* kube.request({ verb: "get", resource: instances, namespace, name: "orphan" })
      assert.deepStrictEqual(left.metadata.finalizers, ["kro.run/finalizer"])
      yield* kube.request({
        verb: "patch",
        resource: instances,
        namespace,
        name: "orphan",
        body: { metadata: { finalizers: null } }
      })
      yield* eventually(
        "gone",
        Effect.map(kube.list({ resource: instances, namespace }), ({ items }) => items.length === 0)
      )
      yield* removeRgd(rgd)
    })
  )
})
