/** A whole job on a real cluster, called from inside a runner's pod as the Actions runner calls it. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { podName, RunnerPod, layer as runnerPod, workspace } from "./support/RunnerPod.ts"

describe.each(["claim", "copy"] as const)("%s", (mode) => {
  layer(runnerPod(mode), { timeout: 240_000, excludeTestServices: true })((it) => {
    it.effect("checkout-like files, six script steps, a container step, cleanup", () =>
      Effect.gen(function* () {
        const runner = yield* RunnerPod
        const kube = yield* KubeClient.KubeClient
        assert.strictEqual((yield* runner.sh("/home/runner/externals/node20/bin/node --version")).stdout, "v20.20.2\n")
        const state = yield* runner.prepare({ environmentVariables: { HOME: "/github/home", JOB: "job's own" } }, [
          {
            image: "docker.io/library/redis:latest",
            portMappings: ["6379:6379"],
            createOptions: `--health-cmd "redis-cli ping"`
          }
        ])

        // With a claim, steps do not need the API server at all.
        assert.strictEqual(JSON.stringify(state).includes('"channel"'), mode === "claim")

        // What actions/checkout leaves: many small files, an executable, a link.
        const checkout = yield* runner.script(
          state,
          `mkdir -p src .git/objects; for i in $(seq 1 200); do echo $i > src/$i.txt; done
printf '#!/bin/sh\\necho built "$@"\\n' > build.sh; chmod +x build.sh; ln -s build.sh link; echo lock > package-lock.json`
        )
        assert.strictEqual(checkout.code, 0, checkout.stdout)
        const build = yield* runner.script(
          state,
          './build.sh "$JOB"; ./link x; ls src | wc -l; echo "path=$PATH"; echo tool >> $GITHUB_STEP_SUMMARY',
          {
            prependPath: ["/opt/a b/bin", "/opt/c"]
          }
        )
        assert.strictEqual(build.code, 0, build.stdout)
        assert.match(build.stdout, /^built job's own\nbuilt x\n200\npath=\/opt\/a b\/bin:\/opt\/c:\/.*\n$/)
        assert.strictEqual(build.summary, "tool\n")
        const outputs = yield* runner.script(state, 'echo "version=1.2" >> $GITHUB_OUTPUT; cat $GITHUB_EVENT_PATH', {
          environmentVariables: { GITHUB_EVENT_PATH: "/github/workflow/event.json" }
        })
        assert.deepStrictEqual([outputs.outputs, outputs.stdout], ["version=1.2\n", '{"action":"opened"}'])
        const node = yield* runner.script(state, "", {
          entryPoint: "/__e/node24/bin/node",
          entryPointArgs: ["-p", "'process.version'"]
        })
        assert.strictEqual(node.stdout, "v24.21.0\n", node.stderr)
        const services = yield* runner.script(
          state,
          "exec 3<>/dev/tcp/redis/6379; printf 'PING\\r\\n' >&3; head -n 1 <&3",
          {
            entryPoint: "bash"
          }
        )
        assert.match(services.stdout, /^\+PONG/, services.stdout)
        const failing = yield* runner.script(
          state,
          "echo late=1 >> $GITHUB_OUTPUT; echo last words; echo err >&2; exit 23"
        )
        assert.deepStrictEqual([failing.code, failing.stdout, failing.outputs], [23, "last words\nerr\n", "late=1\n"])

        // Steps in the background: each begins while the others bring their own files along.
        const together = yield* Effect.forEach(
          [1, 2, 3, 4],
          (id) => runner.script(state, `echo "own=${id}" >> $GITHUB_OUTPUT; sleep 0.5; echo ${id}; exit ${id}`),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          together.map(({ code, outputs, stdout }) => [code, outputs, stdout]),
          [1, 2, 3, 4].map((id) => [id, `own=${id}\n`, `${id}\n`])
        )

        yield* runner.sh(`: > /home/runner/_work/_temp/_runner_file_commands/set_output_c`)
        const step = yield* runner.call(
          "run_container_step",
          {
            image: "docker.io/library/alpine:latest",
            entryPoint: "sh",
            entryPointArgs: [
              "-ec",
              '"ls',
              "src",
              "|",
              "wc",
              "-l;",
              "cat",
              "/github/workflow/event.json;",
              "echo",
              "c=3",
              ">>",
              "$GITHUB_OUTPUT;",
              "echo",
              "made",
              ">",
              "action.yml;",
              "exit",
              '5"'
            ],
            environmentVariables: { GITHUB_OUTPUT: "/github/file_commands/set_output_c" },
            workingDirectory: "/github/workspace",
            systemMountVolumes: runner.stepMounts
          },
          { state }
        )
        assert.deepStrictEqual([step.code, step.stdout], [5, '200\n{"action":"opened"}'], step.stderr)
        const back = yield* runner.sh(
          `cat /home/runner/_work/_temp/_runner_file_commands/set_output_c ${workspace}/action.yml ${workspace}/package-lock.json`
        )
        assert.strictEqual(back.stdout, "c=3\nmade\nlock\n", back.stderr)

        const pod = yield* kube.request({
          verb: "get",
          resource: KubeResource.pods,
          namespace: runner.namespace,
          name: `${podName}-workflow`
        })
        assert.strictEqual(pod.metadata?.labels?.["runner-pod"], podName)
        assert.strictEqual(pod.metadata?.ownerReferences?.[0]?.name, podName)
        assert.isFalse(pod.spec?.automountServiceAccountToken)

        const cleanup = yield* runner.call("cleanup_job", {}, { state })
        assert.strictEqual(cleanup.code, 0, cleanup.stdout)
        const left = yield* kube.list({ resource: KubeResource.pods, namespace: runner.namespace })
        assert.deepStrictEqual(
          left.items.map(({ metadata }) => metadata?.name),
          [podName]
        )
        const secrets = yield* kube.list({ resource: KubeResource.secrets, namespace: runner.namespace })
        assert.deepStrictEqual(secrets.items, [])
        assert.notStrictEqual((yield* runner.sh("ls /home/runner/_work/.jobscope")).code, 0)
      })
    )
  })
})
