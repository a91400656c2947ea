/** A workflow file in environments that a ResourceGraphDefinition describes, by the command line as it is published. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import type * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { folder, run, start, useJobscope, type Where } from "../../programs/cli/process.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"
import { applied } from "./support/hosts.ts"
import { instancesOf } from "./support/runner.ts"

const namespace = suiteNamespace()
useJobscope()

const examples = join(import.meta.dirname, "../../../examples/kro")
const rgd = Yaml.parse(readFileSync(join(examples, "job-environment.yaml"), "utf8")) as Rgd.ResourceGraphDefinition
const scope = Scope.makeUnsafe()
beforeAll(() => applied(rgd).pipe(Scope.provide(scope), Effect.provide(kube), Effect.runPromise))
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const inEnvironments = ["--backend", "kro", "--rgd", "job-environment", "--namespace", namespace]
const at = (cwd: string): Where => ({ cwd, env: { KUBECONFIG: process.env.KUBECONFIG ?? "" } })

/** What the namespace has of any job. */
const left = (): Promise<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const client = yield* KubeClient.KubeClient
    const pods = yield* client.list({ resource: KubeResource.pods, namespace })
    const secrets = yield* client.list({ resource: KubeResource.secrets, namespace })
    const instances = yield* client.list({ resource: instancesOf(rgd.spec.schema.kind), namespace })
    return [...pods.items, ...secrets.items, ...instances.items].map(({ metadata }) => metadata?.name ?? "")
  }).pipe(Effect.provide(kube), Effect.runPromise)

describe("jobscope run --backend kro", () => {
  it("examples/kro/workflow.yml: each job has a Redis that exists only for it", async () => {
    const cwd = folder({ "workflow.yml": readFileSync(join(examples, "workflow.yml")) })
    const { code, stderr, stdout } = await run(["run", "workflow.yml", ...inEnvironments], at(cwd))
    assert.deepStrictEqual([code, stderr], [0, ""], stdout)
    assert.include(stdout, "| one: :1, then 2\n")
    assert.include(stdout, "| two: :1, then 2\n")
    assert.include(stdout, "2 jobs: 2 success\n")
    assert.deepStrictEqual(await left(), [])
  })

  it("a job without a container has the RGD's image; a red step is red; services are refused at their place", async () => {
    const cwd = folder({
      "red.yml":
        "on: push\njobs:\n  red:\n    runs-on: ubuntu-latest\n    steps:\n      - run: busybox | head -1 && exit 9\n",
      "services.yml":
        "on: push\njobs:\n  served:\n    runs-on: ubuntu-latest\n    services:\n      cache: { image: redis }\n    steps:\n      - run: exit\n"
    })
    const own = ["--rgd-value", "image=docker.io/library/alpine:latest"]
    const red = await run(["run", "red.yml", "--passthrough", ...own, ...inEnvironments], at(cwd))
    assert.strictEqual(red.code, 9, red.stdout + red.stderr)
    assert.match(red.stdout, /\| BusyBox v/)
    const refused = await run(["run", "services.yml", ...inEnvironments], at(cwd))
    assert.strictEqual(refused.code, 2, refused.stdout + refused.stderr)
    assert.match(
      refused.stderr,
      /services\.yml:6:\d+.*services from images \("cache"\)[\s\S]*Describe it together with the environment/
    )
    const unknown = await run(["run", "red.yml", "--rgd-value", "size=huge", ...inEnvironments], at(cwd))
    assert.strictEqual(unknown.code, 2, unknown.stdout + unknown.stderr)
    assert.match(unknown.stdout, /spec\.size: the schema does not declare it/)
    assert.deepStrictEqual(await left(), [])
  })

  it("ps shows what runs, and Ctrl-C leaves nothing", async () => {
    const cwd = folder({
      "long.yml":
        "on: push\njobs:\n  long:\n    runs-on: ubuntu-latest\n    container: alpine\n    steps:\n      - run: echo begun; sleep 1000\n"
    })
    const running = start(["run", "long.yml", ...inEnvironments], at(cwd))
    await running.says("| begun")
    const shown = await run(["ps", ...inEnvironments], at(cwd))
    assert.match(shown.stdout, /long-[0-9a-f]{8}.*held/, shown.stderr)
    running.kill("SIGINT")
    const { code, stdout } = await running.ended
    assert.strictEqual(code, 130, stdout)
    assert.deepStrictEqual(await left(), [])
  })
})
