import { assert, describe, it } from "@effect/vitest"
import { planMounts } from "../../../src/backends/pod/internal/mountPlan.ts"
import { identityOf } from "../../../src/backends/pod/internal/opened.ts"
import { jobManifests } from "../../../src/backends/pod/PodManifest.ts"
import type { Options } from "../../../src/backends/pod/PodOptions.ts"
import { Port } from "../../../src/domain/Container.ts"
import { JobContainer, JobSpec, Service } from "../../../src/domain/Job.ts"

const podOf = (spec: JobSpec, options: Options = {}) => {
  const plan = planMounts({ mounts: [], volumes: [], podVolumes: [], sharing: { _tag: "Copy" } })
  const about = { secretIds: ["a"], workspace: "/w", ownWorkspace: true, channel: undefined }
  const manifests = jobManifests(spec, identityOf(options, "e", "o"), plan, about)
  return "_tag" in manifests ? assert.fail(manifests.message) : manifests.pod
}

const containerOf = (pod: ReturnType<typeof podOf>, name: string) =>
  pod.spec?.containers.find((container) => container.name === name) ?? assert.fail(`no container ${name}`)

const image = "busybox"

describe("the pod of a job", () => {
  it("takes ports of its node only where that is wanted, and never one that the backend may choose", () => {
    const ports = [
      new Port({ container: 80, host: 8080 }),
      new Port({ container: 81, host: 0 }),
      new Port({ container: 82 })
    ]
    const spec = new JobSpec({
      name: "j",
      container: new JobContainer({ image, ports }),
      services: [new Service({ name: "s", image, ports: [new Port({ container: 53, host: 5353, protocol: "udp" })] })]
    })
    const portsIn = (options: Options) =>
      ["job", "s"].map((name) => containerOf(podOf(spec, options), name).ports?.map(({ hostPort }) => hostPort))
    assert.deepStrictEqual(portsIn({}), [[undefined, undefined, undefined], [undefined]])
    assert.deepStrictEqual(portsIn({ hostPorts: true }), [[8080, undefined, undefined], [5353]])
  })

  it("starts an entry point in the job's working directory, as a container runtime does", () => {
    const spec = (more: object) =>
      new JobSpec({ name: "j", workingDirectory: "/w/d", container: new JobContainer({ image, ...more }) })
    const { args, command, workingDir } = containerOf(podOf(spec({ entryPoint: ["serve"], args: ["$HOME"] })), "job")
    assert.deepStrictEqual({ args, command, workingDir }, { command: ["serve"], args: ["$$HOME"], workingDir: "/w/d" })
    assert.isUndefined(containerOf(podOf(spec({})), "job").workingDir)
  })
})
