/**
 * A runner's pod on a real cluster, as Actions Runner Controller makes it: uid 1001, the rights of the chart's Role and no other, in-cluster
 * configuration, the hook called by the runner's own Node, in both container modes.
 */
import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, Schedule, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import * as FakeRights from "../../../../src/testing/kubernetes/FakeRights.ts"
import { bundled } from "../../../support/bundled.ts"

export type Mode = "claim" | "copy"

const work = "/home/runner/_work"
const temp = `${work}/_temp`
export const workspace = `${work}/repo/repo`
export const podName = "runner-abc"
const home = "/home/runner"

/** What a command in the runner's pod gave. */
export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export class RunnerPod extends Context.Service<
  RunnerPod,
  {
    readonly namespace: string
    /** A shell line in the runner's container. */
    readonly sh: (line: string, stdin?: string) => Effect.Effect<Ran>
    /** A call of the hook. */
    readonly call: (
      command: string,
      args: object,
      options?: { readonly state?: unknown; readonly env?: Readonly<Record<string, string>> }
    ) => Effect.Effect<Ran & { readonly response: unknown }>
    readonly prepareArgs: (container: object, services?: ReadonlyArray<object>) => object
    readonly prepare: (container: object, services?: ReadonlyArray<object>) => Effect.Effect<unknown>
    /** `run_script_step` with fresh file commands. */
    readonly script: (
      state: unknown,
      text: string,
      more?: object
    ) => Effect.Effect<Ran & { readonly outputs: string; readonly summary: string }>
    readonly stepMounts: ReadonlyArray<object>
  }
>()("jobscope/test/cluster/RunnerPod") {}

const mount = (sourceVolumePath: string, targetVolumePath: string, readOnly = false) => ({
  sourceVolumePath,
  targetVolumePath,
  readOnly
})

const systemMountVolumes = [
  mount("/var/run/docker.sock", "/var/run/docker.sock"),
  mount(work, "/__w"),
  mount(`${home}/externals`, "/__e", true),
  mount(temp, "/__w/_temp"),
  mount(`${work}/_actions`, "/__w/_actions"),
  mount(`${work}/_tool`, "/__w/_tool"),
  mount(`${temp}/_github_home`, "/github/home"),
  mount(`${temp}/_github_workflow`, "/github/workflow")
]

const stepMounts = [
  mount(temp, "/github/runner_temp"),
  mount(`${temp}/_github_home`, "/github/home"),
  mount(`${temp}/_github_workflow`, "/github/workflow"),
  mount(`${temp}/_runner_file_commands`, "/github/file_commands"),
  mount(workspace, "/github/workspace")
]

/** `settings`: variables of the runner's container. */
const make = Effect.fnUntraced(function* (mode: Mode, settings: Readonly<Record<string, string>> = {}) {
  const kube = yield* KubeClient.KubeClient
  const code = readFileSync(join(bundled("hook"), "index.js"), "utf8")
  const namespace = `jobscope-test-${randomUUID().slice(0, 8)}`
  const create = <A>(resource: KubeResource.KubeResource<A>, body: object) =>
    kube.request({ verb: "create", resource, namespace, body })

  yield* Effect.acquireRelease(
    kube.request({
      verb: "create",
      resource: KubeResource.namespaces,
      body: { metadata: { name: namespace, labels: { "jobscope-test": "true" } } }
    }),
    () => Effect.orDie(kube.request({ verb: "delete", resource: KubeResource.namespaces, name: namespace }))
  )
  yield* create(KubeResource.serviceAccounts, { metadata: { name: "runner" } })
  yield* create(KubeResource.roles, {
    metadata: { name: "runner" },
    rules: FakeRights.actionsRunnerController.map(({ group, resource, verbs }) => ({
      apiGroups: [group],
      resources: [resource],
      verbs
    }))
  })
  yield* create(KubeResource.roleBindings, {
    metadata: { name: "runner" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "runner" },
    subjects: [{ kind: "ServiceAccount", name: "runner", namespace }]
  })
  yield* create(KubeResource.make({ plural: "configmaps" }), {
    metadata: { name: "hook" },
    data: { "index.js": code }
  })
  // A directory of the node is the claim's volume: no storage class is needed.
  if (mode === "claim") {
    const volumes = KubeResource.make({ plural: "persistentvolumes", namespaced: false })
    yield* Effect.acquireRelease(
      kube.request({
        verb: "create",
        resource: volumes,
        body: {
          metadata: { name: namespace },
          spec: {
            capacity: { storage: "1Gi" },
            accessModes: ["ReadWriteOnce"],
            persistentVolumeReclaimPolicy: "Retain",
            storageClassName: "",
            claimRef: { namespace, name: `${podName}-work` },
            hostPath: { path: `/tmp/${namespace}`, type: "DirectoryOrCreate" }
          }
        }
      }),
      () => Effect.ignore(kube.request({ verb: "delete", resource: volumes, name: namespace }))
    )
    yield* Effect.addFinalizer(() => Effect.orDie(removeFromNode))
  }
  const claimSpec = {
    accessModes: ["ReadWriteOnce"],
    storageClassName: "",
    resources: { requests: { storage: "1Gi" } }
  }
  yield* create(KubeResource.pods, {
    metadata: { name: podName },
    spec: {
      serviceAccountName: "runner",
      terminationGracePeriodSeconds: 0,
      volumes: [
        { name: "hook", configMap: { name: "hook" } },
        ...(mode === "claim" ? [{ name: "work", ephemeral: { volumeClaimTemplate: { spec: claimSpec } } }] : [])
      ],
      containers: [
        {
          name: "runner",
          image: "ghcr.io/actions/actions-runner:latest",
          imagePullPolicy: "IfNotPresent",
          command: ["sleep", "1000000"],
          env: [
            { name: "ACTIONS_RUNNER_POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
            { name: "ACTIONS_RUNNER_CONTAINER_HOOKS", value: `${home}/jobscope/index.js` },
            { name: "ACTIONS_RUNNER_IMAGE", value: "ghcr.io/actions/actions-runner:latest" },
            ...Object.entries(settings).map(([name, value]) => ({ name, value }))
          ],
          volumeMounts: [
            { name: "hook", mountPath: `${home}/jobscope` },
            ...(mode === "claim" ? [{ name: "work", mountPath: work }] : [])
          ]
        },
        // A volume of a node's directory belongs to root there; storage that is meant for it does not.
        ...(mode === "claim"
          ? [
              {
                name: "owner",
                image: "busybox:latest",
                imagePullPolicy: "IfNotPresent",
                command: ["sh", "-c", "chown 1001:1001 /work; sleep 1000000"],
                volumeMounts: [{ name: "work", mountPath: "/work" }]
              }
            ]
          : [])
      ]
    }
  })
  yield* Effect.repeat(kube.request({ verb: "get", resource: KubeResource.pods, namespace, name: podName }), {
    schedule: Schedule.spaced("200 millis"),
    until: (pod) => pod.status?.phase === "Running"
  })

  /** Kubernetes leaves directories of nodes to whoever made them. */
  const removeFromNode = Effect.gen(function* () {
    yield* kube.request({ verb: "delete", resource: KubeResource.pods, namespace, name: podName })
    yield* create(KubeResource.pods, {
      metadata: { name: "sweeper" },
      spec: {
        restartPolicy: "Never",
        volumes: [{ name: "tmp", hostPath: { path: "/tmp" } }],
        containers: [
          {
            name: "main",
            image: "busybox:latest",
            imagePullPolicy: "IfNotPresent",
            command: ["rm", "-rf", `/host/${namespace}`],
            volumeMounts: [{ name: "tmp", mountPath: "/host" }]
          }
        ]
      }
    })
    yield* Effect.repeat(kube.request({ verb: "get", resource: KubeResource.pods, namespace, name: "sweeper" }), {
      schedule: Schedule.spaced("200 millis"),
      until: (pod) => pod.status?.phase === "Succeeded"
    })
  })

  function run(line: string, options: { readonly stdin?: string; readonly container?: string } = {}) {
    const { container = "runner", stdin = "" } = options
    return Effect.scoped(
      Effect.gen(function* () {
        const process = yield* kube.exec({
          namespace,
          pod: podName,
          container,
          command: ["sh", "-c", line],
          stdin: true
        })
        yield* process.write(new TextEncoder().encode(stdin))
        yield* process.end
        const chunks = yield* Stream.runCollect(process.output)
        const textOf = (stream: "stdout" | "stderr") =>
          Buffer.concat(chunks.filter((chunk) => chunk.stream === stream).map(({ bytes }) => bytes)).toString()
        return { code: yield* process.exitCode, stdout: textOf("stdout"), stderr: textOf("stderr") }
      })
    )
  }
  const sh: RunnerPod["Service"]["sh"] = (line, stdin = "") => Effect.orDie(run(line, { stdin }))

  yield* Effect.repeat(sh(`test -w ${work} && id -u`), {
    schedule: Schedule.spaced("200 millis"),
    until: ({ code }) => code === 0
  })
  const made = yield* sh(
    `set -e; mkdir -p ${workspace} ${work}/_actions ${work}/_tool
for name in _runner_file_commands _runner_hook_responses _github_home _github_workflow; do mkdir -p ${temp}/$name; done
printf '{"action":"opened"}' > ${temp}/_github_workflow/event.json; id -u`
  )
  assert.deepStrictEqual([made.code, made.stdout], [0, "1001\n"], made.stderr)

  let calls = 0
  const call: RunnerPod["Service"]["call"] = Effect.fnUntraced(function* (command, args, { env = {}, state } = {}) {
    const responseFile = `${temp}/_runner_hook_responses/${calls++}.json`
    const variables = {
      RUNNER_WORKSPACE: `${work}/repo`,
      GITHUB_WORKSPACE: workspace,
      RUNNER_TEMP: temp,
      ...env
    }
    const assignments = Object.entries(variables)
      .map(([name, value]) => `${name}='${value}'`)
      .join(" ")
    const ran = yield* sh(
      `: > ${responseFile}; cd ${workspace} && exec env ${assignments} ${home}/externals/node20/bin/node ${home}/jobscope/index.js`,
      `${JSON.stringify({ command, args, responseFile, state: state ?? null })}\n`
    )
    const response = (yield* sh(`cat ${responseFile}; rm ${responseFile}`)).stdout
    return { ...ran, response: response === "" ? undefined : JSON.parse(response) }
  })

  const prepareArgs = (container: object, services: ReadonlyArray<object> = []) => ({
    container: {
      image: "docker.io/library/ubuntu:latest",
      workingDirectory: "/__w/repo/repo",
      environmentVariables: { HOME: "/github/home" },
      systemMountVolumes,
      ...container
    },
    services
  })

  let scripts = 0
  return RunnerPod.of({
    namespace,
    sh,
    call,
    stepMounts,
    prepareArgs,
    prepare: Effect.fnUntraced(function* (container, services = []) {
      const called = yield* call("prepare_job", prepareArgs(container, services))
      assert.strictEqual(called.code, 0, `${called.stdout}${called.stderr}`)
      return (called.response as { readonly state: unknown }).state
    }),
    script: Effect.fnUntraced(function* (state, text, more = {}) {
      const id = scripts++
      const commands = `${temp}/_runner_file_commands`
      yield* sh(
        `cat > ${temp}/script-${id}.sh; : > ${commands}/set_output_${id}; : > ${commands}/step_summary_${id}`,
        text
      )
      const { environmentVariables = {}, ...args } = more as { readonly environmentVariables?: object }
      const ran = yield* call(
        "run_script_step",
        {
          entryPoint: "sh",
          entryPointArgs: ["-e", `/__w/_temp/script-${id}.sh`],
          prependPath: [],
          workingDirectory: "/__w/repo/repo",
          environmentVariables: {
            GITHUB_OUTPUT: `/__w/_temp/_runner_file_commands/set_output_${id}`,
            GITHUB_STEP_SUMMARY: `/__w/_temp/_runner_file_commands/step_summary_${id}`,
            ...environmentVariables
          },
          ...args
        },
        { state }
      )
      const read = (name: string) => Effect.map(sh(`cat ${commands}/${name}_${id}`), ({ stdout }) => stdout)
      return { ...ran, outputs: yield* read("set_output"), summary: yield* read("step_summary") }
    })
  })
})

export const layer = (
  mode: Mode,
  settings?: Readonly<Record<string, string>>
): Layer.Layer<RunnerPod | KubeClient.KubeClient> =>
  Layer.effect(RunnerPod, make(mode, settings)).pipe(
    Layer.provideMerge(KubeClient.layer({ sources: ["kubeconfig"] })),
    Layer.orDie
  )
