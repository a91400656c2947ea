import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import { containersOf } from "../../../../src/programs/github/internal/containers.ts"

const place = { file: "ci.yml", range: { line: 3, column: 7, endLine: 3, endColumn: 9 }, what: "the container" }

describe("containersOf", () => {
  it("reads a job's container and services in the domain's words", () => {
    const { container, env, services, volumes } = containersOf(
      {
        place,
        value: {
          image: "registry.example:5000/node:22",
          credentials: { username: "me", password: "pw" },
          env: { A: 1, B: null },
          ports: [80, "8080:81/udp"],
          volumes: ["data:/data", "/host:/in:ro", "/anon"],
          options: "--cpus 2 --user 1001 -e FROM=options"
        }
      },
      [
        { place, name: "none", value: "" },
        {
          place,
          name: "redis",
          value: {
            image: "redis:7",
            ports: ["6379:6379"],
            env: { X: "y" },
            command: 'redis-server --save ""',
            entrypoint: "/entry",
            volumes: ["data:/d"],
            options: '--health-cmd "redis-cli ping" --health-interval 2s --health-retries 5'
          }
        }
      ]
    )
    assert.strictEqual(container?.image, "registry.example:5000/node:22")
    assert.strictEqual(container?.user, "1001")
    assert.strictEqual(container?.resources?.limits.cpu, "2")
    assert.deepStrictEqual(
      container?.ports.map(({ container, host, protocol }) => [container, host, protocol]),
      [
        [80, undefined, "tcp"],
        [81, 8080, "udp"]
      ]
    )
    assert.deepStrictEqual(
      container?.mounts.map(({ readOnly, source, target }) => [source, target, readOnly]),
      [
        ["data", "/data", false],
        ["/host", "/in", true],
        ["volume-2", "/anon", false]
      ]
    )
    assert.strictEqual(container?.credentials?.server, "registry.example:5000")
    assert.strictEqual(container?.credentials && Redacted.value(container.credentials.password), "pw")
    assert.deepStrictEqual(env, { FROM: "options", A: "1", B: "" })
    assert.deepStrictEqual(
      volumes.map(({ name }) => name),
      ["data", "volume-2"]
    )
    const [redis] = services
    assert.strictEqual(services.length, 1)
    assert.deepStrictEqual([redis?.entryPoint, redis?.command], [["/entry"], ["redis-server", "--save", ""]])
    assert.strictEqual(redis?.healthCheck?.command, "redis-cli ping")
    assert.strictEqual(redis?.healthCheck && Duration.toMillis(redis.healthCheck.interval), 2000)
  })

  it("an empty image is none, docker:// is dropped, Docker Hub has no server", () => {
    assert.isUndefined(containersOf({ place, value: "" }, []).container)
    assert.isUndefined(containersOf({ place, value: { image: "" } }, []).container)
    assert.strictEqual(containersOf({ place, value: "docker://alpine" }, []).container?.image, "alpine")
    const hub = containersOf({ place, value: { image: "me/app", credentials: { username: "u", password: "p" } } }, [])
    assert.strictEqual(hub.container?.credentials?.server, "")
  })

  const wrong: ReadonlyArray<readonly [object, RegExp]> = [
    [{ image: "x", options: "--network host" }, /ci\.yml:3:7: the option --network of the container: /],
    [{ image: "x", ports: ["99999"] }, /"99999" of the container is no port/],
    [{ image: "x", volumes: ["data"] }, /"data" of the container is no volume/],
    [{ image: "x", volumes: ["a:/b:c:d"] }, /is no volume/]
  ]
  it.each(wrong)("refuses %j", (value, message) => {
    assert.throws(() => containersOf({ place, value: value as never }, []), message)
  })
})
