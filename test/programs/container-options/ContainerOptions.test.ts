import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ContainerSettings, HealthCheck, Port, Resources } from "../../../src/domain/Container.ts"
import * as ContainerOptions from "../../../src/programs/container-options/ContainerOptions.ts"

const none: ContainerOptions.ContainerOptions = { env: {}, ports: [] }

const options = (text: string): ContainerOptions.ContainerOptions => {
  const { options, problems } = ContainerOptions.parse(text)
  assert.deepStrictEqual(problems, [])
  return options
}
const problems = (text: string) => ContainerOptions.parse(text).problems.map(({ detail, flag }) => `${flag}: ${detail}`)

describe("ContainerOptions", () => {
  it("nothing asked, nothing given", () => {
    assert.deepStrictEqual(options(""), none)
    assert.deepStrictEqual(options(" --rm -it --init --name db --pull=always -d "), none)
  })

  it.each([
    [
      "--cpus 1.5 -m512m --memory-reservation=256m",
      { resources: new Resources({ limits: { cpu: "1500m", memory: "512Mi" }, requests: { memory: "256Mi" } }) }
    ],
    ["--memory=2g", { resources: new Resources({ limits: { memory: "2Gi" } }) }],
    ["-m=1g", { resources: new Resources({ limits: { memory: "1Gi" } }) }],
    ["--user 1001:1001", { user: "1001:1001" }],
    ["-u root", { user: "0" }],
    ["-uroot:root", { user: "0:0" }],
    ["-u postgres", { user: "postgres" }],
    ["-e A=1 -eB=2 --env C=x=y --env=D=", { env: { A: "1", B: "2", C: "x=y", D: "" } }],
    [`--env "A=a b"`, { env: { A: "a b" } }],
    ["--entrypoint /bin/app", { entryPoint: ["/bin/app"] }],
    ["-w /srv", { workingDirectory: "/srv" }],
    ["--workdir=/srv", { workingDirectory: "/srv" }],
    [
      "-p 8080:80 --publish 53/udp",
      { ports: [new Port({ container: 80, host: 8080 }), new Port({ container: 53, protocol: "udp" })] }
    ],
    ["--hostname db.local", { settings: new ContainerSettings({ hostname: "db.local" }) }],
    ["-h db", { settings: new ContainerSettings({ hostname: "db" }) }],
    [
      "--add-host a:10.0.0.1 --add-host b=::1 --add-host=c:[::2]",
      { settings: new ContainerSettings({ hosts: { a: "10.0.0.1", b: "::1", c: "::2" } }) }
    ],
    ["-l a=1 --label b", { settings: new ContainerSettings({ labels: { a: "1", b: "" } }) }],
    ["--shm-size=1g", { settings: new ContainerSettings({ shmSize: "1Gi" }) }],
    [
      "--tmpfs /run --tmpfs /tmp:rw,size=64m,mode=1777",
      { settings: new ContainerSettings({ tmpfs: { "/run": "", "/tmp": "64Mi" } }) }
    ],
    [
      "--read-only --cap-drop ALL --cap-add CAP_net_admin",
      { settings: new ContainerSettings({ readOnlyRoot: true, capDrop: ["ALL"], capAdd: ["NET_ADMIN"] }) }
    ],
    ["--privileged", { settings: new ContainerSettings({ privileged: true }) }],
    ["--privileged=true", { settings: new ContainerSettings({ privileged: true }) }],
    ["--privileged=false --read-only=0", {}],
    [
      `--health-cmd "redis-cli ping || exit 1" --health-interval 10s --health-timeout=5s --health-retries 5 --health-start-period 1m --health-start-interval 1s`,
      {
        healthCheck: new HealthCheck({
          command: "redis-cli ping || exit 1",
          interval: Duration.seconds(10),
          timeout: Duration.seconds(5),
          retries: 5,
          startPeriod: Duration.minutes(1)
        })
      }
    ],
    ["--health-cmd pg_isready", { healthCheck: new HealthCheck({ command: "pg_isready" }) }]
  ] as ReadonlyArray<[string, Partial<ContainerOptions.ContainerOptions>]>)("%s", (text, expected) => {
    assert.deepStrictEqual(options(text), { ...none, ...expected })
  })

  it.each([
    ["--gpus all", ["--gpus: it is not supported: ask for devices as resources, in the pod template"]],
    ["-v /a:/b --cpus 1", ["-v: it is not supported: use `volumes:`"]],
    ["--network=host", ["--network: it is not supported: containers of a job share one network"]],
    ["--frobnicate --cpus 1", ["--frobnicate: it is not supported"]],
    ["--cpus many", ["--cpus: its value is not a number of processors such as 1.5"]],
    ["--memory", ["--memory: its value is missing"]],
    ["-m lots", ["-m: its value is not a size such as 512m or 2g"]],
    ["--env HOME", ["--env: it names a variable without a value, and variables of the runner are not passed on"]],
    ["--env =x", ["--env: its value has no name"]],
    ["--user ''", ["--user: its value is empty"]],
    ["--privileged=maybe", ["--privileged: its value is neither true nor false"]],
    ["--add-host host:host-gateway", ["--add-host: its value is not <name>:<address>"]],
    ["--tmpfs run", ["--tmpfs: its value is not an absolute path"]],
    [
      "--health-interval 10s",
      ["--health-cmd: it is missing, and the image's own health check is not known here: ports decide instead"]
    ],
    ["--health-cmd x --health-retries 0", ["--health-retries: its value is not a number above 0"]],
    ["oops", ["(a word without a flag): it is not supported"]],
    ["-p x", ["-p: its value is not a port mapping"]]
  ] as ReadonlyArray<[string, ReadonlyArray<string>]>)("a problem: %s", (text, expected) => {
    assert.deepStrictEqual(problems(text), expected)
  })

  it("what is wrong with one flag does not lose the others", () => {
    const { options, problems } = ContainerOptions.parse("--gpus all --cpus 2 -v /a:/b --hostname x")
    assert.lengthOf(problems, 2)
    assert.deepStrictEqual(options, {
      ...none,
      resources: new Resources({ limits: { cpu: "2" } }),
      settings: new ContainerSettings({ hostname: "x" })
    })
  })

  it("a problem never shows a value", () => {
    for (const flag of [
      "--cpus",
      "--memory",
      "--env",
      "--add-host",
      "--tmpfs",
      "--nothing",
      "-p",
      "--health-interval"
    ]) {
      assert.notInclude(problems(`${flag} s3cret`).join(), "s3cret", flag)
      assert.notInclude(problems(`${flag}=s3cret`).join(), "s3cret", flag)
    }
    assert.notInclude(problems("s3cret").join(), "s3cret")
  })

  it.effect.prop("takes any text", [Schema.String], ([text]) => {
    assert.isArray(ContainerOptions.parse(text).problems)
    assert.isArray(ContainerOptions.parse(`--${text}`).problems)
    return Effect.void
  })
})
