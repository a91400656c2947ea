/** A whole job in an environment that KRO makes, called from inside a runner's pod, with the Role of the documentation and no other right. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import * as KroCalls from "jobscope/backends/kro/KroCalls"
import type * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import * as KubeCalls from "jobscope/backends/kubernetes/KubeCalls"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { applied } from "../kro/support/hosts.ts"
import { instancesOf } from "../kro/support/runner.ts"
import { podName, RunnerPod, layer as runnerPod, workspace } from "./support/RunnerPod.ts"

const example = join(import.meta.dirname, "../../../examples/kro/hook-environment.yaml")
const rgd = Yaml.parse(readFileSync(example, "utf8")) as Rgd.ResourceGraphDefinition
const instances = instancesOf(rgd.spec.schema.kind)

/** The rights of the documentation for the runner's service account. */
const allowed = Effect.gen(function* () {
  const kube = yield* KubeClient.KubeClient
  const { namespace } = yield* RunnerPod
  const name = `jobscope-${namespace}`
  const calls = KroCalls.hostedCallsFor({ group: instances.group, plural: instances.plural })
  for (const [kind, of] of [
    ["Role", calls],
    ["ClusterRole", KroCalls.clusterCalls]
  ] as const) {
    const own = kind === "Role" ? { namespace } : {}
    const at = (plural: string) =>
      KubeResource.make({ group: "rbac.authorization.k8s.io", plural, namespaced: kind === "Role" })
    const made = (plural: string, body: object) =>
      Effect.acquireRelease(kube.request({ verb: "create", resource: at(plural), ...own, body }), () =>
        Effect.ignore(kube.request({ verb: "delete", resource: at(plural), ...own, name }))
      )
    yield* made(`${kind.toLowerCase()}s`, Yaml.parse(KubeCalls.renderRole({ kind, name, ...own, calls: of })) as object)
    yield* made(`${kind.toLowerCase()}bindings`, {
      metadata: { name },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind, name },
      subjects: [{ kind: "ServiceAccount", name: "runner", namespace }]
    })
  }
})

layer(runnerPod("copy", { JOBSCOPE_BACKEND: "kro", JOBSCOPE_RGD: "hook-environment" }), {
  timeout: 240_000,
  excludeTestServices: true
})("JOBSCOPE_BACKEND=kro", (it) => {
  it.effect("files, script steps, a Node of the runner's, a container step, a loss, cleanup", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const runner = yield* RunnerPod
      const { namespace } = runner
      yield* applied(rgd)

      const forbidden = yield* runner.call("prepare_job", { container: { image: "node:22" }, services: [] })
      assert.strictEqual(forbidden.code, 1)
      assert.match(forbidden.stdout, /resourcegraphdefinitions.*needed for looking at a ResourceGraphDefinition/s)
      yield* allowed

      const prepare = (container: object = {}) =>
        runner.prepare({ image: "docker.io/library/node:22", environmentVariables: { JOB: "job's own" }, ...container })
      const state = yield* prepare()
      const pod = yield* kube.request({
        verb: "get",
        resource: KubeResource.pods,
        namespace,
        name: `${podName}-workflow`
      })
      assert.strictEqual(pod.metadata?.labels?.["runner-pod"], podName)

      const first = yield* runner.script(
        state,
        `echo "$JOB"; cat /github/workflow/event.json; echo; mkdir -p src; echo lock >package-lock.json; echo "version=1" >>$GITHUB_OUTPUT; exit 3`
      )
      assert.deepStrictEqual(
        [first.code, first.stdout, first.outputs],
        [3, 'job\'s own\n{"action":"opened"}\n', "version=1\n"],
        first.stdout
      )
      const node = yield* runner.script(state, "", {
        entryPoint: "/__e/node24/bin/node",
        entryPointArgs: ["-p", "'process.version'"]
      })
      assert.strictEqual(node.stdout, "v24.21.0\n", node.stderr)
      const redis = yield* runner.script(
        state,
        "exec 3<>/dev/tcp/redis/6379; printf 'INCR runs\\r\\n' >&3; head -n 1 <&3; ls package-lock.json",
        { entryPoint: "bash" }
      )
      assert.strictEqual(redis.stdout.replaceAll("\r", ""), ":1\npackage-lock.json\n")
      assert.strictEqual((yield* runner.sh(`cat ${workspace}/package-lock.json`)).stdout, "lock\n")

      const step = yield* runner.call(
        "run_container_step",
        {
          image: "docker.io/library/redis:latest",
          entryPoint: "sh",
          entryPointArgs: ["-c", '"redis-cli -h redis incr runs; ls; echo made >made"'],
          workingDirectory: "/github/workspace",
          systemMountVolumes: runner.stepMounts
        },
        { state }
      )
      // A wait that is long is told, on a busy machine.
      const said = step.stdout.replace(/^Waiting for .*\n/gm, "")
      assert.deepStrictEqual([step.code, said], [0, "2\npackage-lock.json\nsrc\n"], step.stdout)
      assert.strictEqual((yield* runner.script(state, "cat made")).stdout, "made\n")

      const cleaned = yield* runner.call("cleanup_job", {}, { state })
      assert.strictEqual(cleaned.code, 0, cleaned.stdout)
      const pods = yield* kube.list({ resource: KubeResource.pods, namespace })
      assert.deepStrictEqual(
        pods.items.map(({ metadata }) => metadata?.name),
        [podName]
      )
      assert.deepStrictEqual((yield* kube.list({ resource: instances, namespace })).items, [])

      const over = yield* runner.script(state, "echo never")
      assert.strictEqual(over.code, 1)
      assert.match(over.stdout, /The environment was lost \(Deleted\)/)
      const served = yield* runner.call("prepare_job", {
        container: { image: "docker.io/library/node:22" },
        services: [{ image: "redis" }]
      })
      assert.strictEqual(served.code, 1)
      assert.match(served.stdout, /services from images \(redis: redis\)/)
      assert.deepStrictEqual((yield* kube.list({ resource: instances, namespace })).items, [])
    })
  )
})
