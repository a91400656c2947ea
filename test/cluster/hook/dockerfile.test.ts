/** Actions with a Dockerfile on a real cluster, called from inside a runner's pod as the Actions runner calls it. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { podName, RunnerPod, layer as runnerPod } from "./support/RunnerPod.ts"

const builderImage = process.env.JOBSCOPE_TEST_BUILDAH_IMAGE
const action = "/home/runner/_work/_actions/acme/tool/v1"

describe.each(["claim", "copy"] as const)("%s", (mode) => {
  layer(runnerPod(mode), { timeout: 240_000, excludeTestServices: true })((it) => {
    it.effect("an action with a Dockerfile: main and post, a RUN that fails, a refusal, cleanup", () =>
      Effect.gen(function* () {
        const runner = yield* RunnerPod
        const kube = yield* KubeClient.KubeClient
        const state = yield* runner.prepare({ environmentVariables: { HOME: "/github/home" } })
        const write = (name: string, text: string) => runner.sh(`mkdir -p ${action}; cat >${action}/${name}`, text)
        yield* write(
          "Dockerfile",
          `FROM docker.io/library/busybox:latest AS tools
FROM docker.io/library/alpine:latest
COPY --from=tools /bin/busybox /usr/local/bin/copied/busybox
COPY entrypoint.sh /entrypoint.sh
RUN chmod +x /entrypoint.sh && echo "::set-output name=x::y" && env
USER 1001
ENTRYPOINT ["/entrypoint.sh"]
`
        )
        yield* write(
          "entrypoint.sh",
          `#!/bin/sh
echo "$INPUT_WHO $(id -u) $(pwd) $*"; /usr/local/bin/copied/busybox echo box; echo out=1 >> "$GITHUB_OUTPUT"; echo made > made.txt; exit 4
`
        )
        yield* runner.sh(": > /home/runner/_work/_temp/_runner_file_commands/set_output_d")
        const call = (more: object) =>
          runner.call(
            "run_container_step",
            {
              dockerfile: `${action}/Dockerfile`,
              workingDirectory: "/github/workspace",
              environmentVariables: {
                INPUT_WHO: "Mona's secret",
                GITHUB_OUTPUT: "/github/file_commands/set_output_d"
              },
              systemMountVolumes: runner.stepMounts,
              ...more
            },
            { state }
          )
        const main = yield* call({ entryPointArgs: ["one", '"two', 'words"'] })
        assert.strictEqual(main.code, 4, main.stdout + main.stderr)
        assert.include(main.stdout, "Mona's secret 1001 /github/workspace one two words\nbox\n")
        assert.match(
          main.stdout,
          /::group::RUN chmod.*\n::stop-commands::(\w+)\n::set-output[\s\S]*\n::\1::\n::endgroup::/
        )
        const [build = ""] = main.stdout.split("::endgroup::")
        assert.notInclude(build, "Mona")
        const output = yield* runner.sh("cat /home/runner/_work/_temp/_runner_file_commands/set_output_d")
        assert.strictEqual(output.stdout, "out=1\n")
        const post = yield* call({ entryPoint: "/bin/cat", entryPointArgs: ["made.txt"] })
        assert.deepStrictEqual([post.code, post.stdout.endsWith("made\n")], [0, true], post.stdout)

        yield* write("Dockerfile", 'FROM docker.io/library/alpine:latest\nRUN echo no; exit 9\nENTRYPOINT ["true"]\n')
        const failing = yield* call({})
        assert.strictEqual(failing.code, 9, failing.stdout)
        assert.include(failing.stdout, "::error::Dockerfile line 2: 'RUN echo no; exit 9' ended with exit code 9.")
        yield* write("Dockerfile", 'FROM docker.io/library/alpine:latest\nCOPY nothing /\nENTRYPOINT ["true"]\n')
        const refused = yield* call({})
        assert.notStrictEqual(refused.code, 0)
        assert.include(refused.stdout + refused.stderr, "Dockerfile line 2: 'COPY nothing /' names 'nothing'")

        const pods = yield* kube.list({ resource: KubeResource.pods, namespace: runner.namespace })
        assert.sameMembers(
          pods.items
            .filter(({ metadata }) => metadata?.deletionTimestamp === undefined)
            .map((pod) => pod.metadata?.name),
          [podName, `${podName}-workflow`]
        )
        const cleaned = yield* runner.call("cleanup_job", {}, { state })
        assert.strictEqual(cleaned.code, 0, cleaned.stdout)
        const left = yield* runner.sh("find /home/runner/_work -name enter; ls -A /home/runner/_work")
        assert.notMatch(left.stdout, /enter|\.jobscope/)
      })
    )

    it.effect.skipIf(builderImage === undefined)("buildah, by its variable (JOBSCOPE_TEST_BUILDAH_IMAGE)", () =>
      Effect.gen(function* () {
        const runner = yield* RunnerPod
        const state = yield* runner.prepare({ environmentVariables: { HOME: "/github/home" } })
        yield* runner.sh(
          `mkdir -p ${action}; cat >${action}/Dockerfile`,
          'FROM docker.io/library/alpine:latest\nRUN echo "::error::no command"; echo run >/made\nENTRYPOINT ["sh", "-c", "cat /made; echo $INPUT_WHO; pwd; exit 4"]\n'
        )
        const called = yield* runner.call(
          "run_container_step",
          {
            dockerfile: `${action}/Dockerfile`,
            workingDirectory: "/github/workspace",
            environmentVariables: { INPUT_WHO: "Mona" },
            systemMountVolumes: runner.stepMounts
          },
          { state, env: { ACTIONS_RUNNER_HOOK_BUILDAH_IMAGE: builderImage ?? "" } }
        )
        assert.strictEqual(called.code, 4, called.stdout + called.stderr)
        assert.isTrue(called.stdout.endsWith("run\nMona\n/github/workspace\n"), called.stdout)
        assert.match(
          called.stdout,
          /::group::RUN echo.*\n::stop-commands::(\w+)\n::error::no command[\s\S]*\n::\1::\n::endgroup::/
        )
        assert.strictEqual((yield* runner.call("cleanup_job", {}, { state })).code, 0)
      })
    )

    it.effect("a hook that is killed in the middle of a RUN: the job's cleanup leaves nothing", () =>
      Effect.gen(function* () {
        const runner = yield* RunnerPod
        const kube = yield* KubeClient.KubeClient
        const { namespace } = runner
        const state = yield* runner.prepare({ environmentVariables: { HOME: "/github/home" } })
        yield* runner.sh(
          `mkdir -p ${action}; cat >${action}/Dockerfile`,
          'FROM docker.io/library/alpine:latest\nRUN echo it has begun; sleep 1000\nENTRYPOINT ["true"]\n'
        )
        const called = yield* Effect.forkChild(
          runner.call(
            "run_container_step",
            {
              dockerfile: `${action}/Dockerfile`,
              environmentVariables: { INPUT_TOKEN: "a secret" },
              systemMountVolumes: runner.stepMounts
            },
            { state }
          )
        )
        const step = yield* Effect.repeat(
          Effect.delay(
            Effect.map(kube.list({ resource: KubeResource.pods, namespace }), ({ items }) =>
              items.find((pod) => pod.metadata?.name?.includes("-step-") && pod.status?.phase === "Running")
            ),
            "200 millis"
          ),
          { until: (pod) => pod !== undefined }
        )
        const log = kube.logs({ namespace, pod: step?.metadata?.name ?? "", container: "job", follow: true })
        yield* Stream.runHead(Stream.filter(log, (bytes) => Buffer.from(bytes).toString().includes("it has begun")))
        yield* runner.sh(
          'for p in /proc/[0-9]*; do if tr "\\0" "\\n" <$p/cmdline | grep -q "^/home/runner/jobscope/index.js$"; then kill -9 $(basename $p); fi; done'
        )
        assert.strictEqual((yield* Fiber.join(called)).code, 137)
        const cleaned = yield* runner.call("cleanup_job", {}, { state })
        assert.strictEqual(cleaned.code, 0, cleaned.stdout)
        const pods = yield* kube.list({ resource: KubeResource.pods, namespace })
        assert.deepStrictEqual(
          pods.items.map((pod) => pod.metadata?.name),
          [podName]
        )
        const secrets = yield* kube.list({ resource: KubeResource.secrets, namespace })
        assert.deepStrictEqual(secrets.items, [])
        const left = yield* runner.sh(
          `ls -A /home/runner/_work; grep -rsl "a secret" /home/runner/_work /tmp; find /home/runner/_work /tmp -name lib -o -name enter`
        )
        assert.notMatch(left.stdout, /\.jobscope|\/lib$|enter|tmp/m)
      })
    )
  })
})
