import { assert, describe, it } from "@effect/vitest"
import { parse } from "effect/encoding/Yaml"
import * as BackendErrors from "jobscope/backends/kubernetes/BackendErrors"
import * as KubeCalls from "jobscope/backends/kubernetes/KubeCalls"
import * as KubeError from "jobscope/backends/kubernetes/KubeError"
import { status } from "./support/FakeApi.ts"

const target: KubeError.Target = { verb: "create", group: "", resource: "pods", namespace: "ci", name: "a" }
const answer = (code: number, body: unknown, retryAfter?: string) =>
  KubeError.fromAnswer({
    target,
    endpoint: "api:6443",
    status: code,
    body: typeof body === "string" ? body : JSON.stringify(body),
    retryAfter
  })

describe("an answer", () => {
  it.each([
    [401, status(401, "Unauthorized", "no"), "Unauthorized", "Unauthorized"],
    [403, status(403, "Forbidden", "pods is forbidden: User x"), "Forbidden", "Forbidden"],
    [403, status(403, "Forbidden", "pods a is forbidden: exceeded quota: q"), "QuotaExceeded", "QuotaExceeded"],
    [404, status(404, "NotFound", "pods a not found"), "NotFound", "EnvironmentLost"],
    [409, status(409, "AlreadyExists", "pods a already exists"), "AlreadyExists", "Conflict"],
    [409, status(409, "Conflict", "object was modified"), "Conflict", "Conflict"],
    [410, status(410, "Expired", "too old"), "Expired", "Unavailable"],
    [422, status(422, "Invalid", "bad"), "Invalid", "InvalidInput"],
    [429, status(429, "TooManyRequests", "slow"), "TooManyRequests", "Unavailable"],
    [500, status(500, "InternalError", "etcd"), "Unavailable", "Unavailable"],
    [504, "<html>gateway\n timeout</html>", "Unavailable", "Unavailable"],
    [418, "", "Unexpected", "BackendDefect"]
  ] as const)("%i %j is %s, for the domain %s", (code, body, reason, domain) => {
    const error = answer(code, body)
    assert.strictEqual(error.reason._tag, reason)
    assert.strictEqual(BackendErrors.fromKubeError(error).reason._tag, domain)
  })

  it("without the right names verb, resource, namespace and what for", () => {
    const { message } = answer(403, status(403, "Forbidden", "no"))
    assert.include(message, "No right to create pods in the namespace ci (needed for starting a job")
  })

  it.each([
    'User "x" cannot create resource "pods/exec" in API group ""',
    // Kubernetes 1.36, where `get` is there and `create` is not.
    'pods "build-1" is forbidden: '
  ])("without a right names the verb that the server checked: %s", (message) => {
    const error = KubeError.fromAnswer({
      target: { verb: "get", group: "", resource: "pods/exec", namespace: "ci" },
      endpoint: "api",
      status: 403,
      body: JSON.stringify(status(403, "Forbidden", message))
    })
    assert.include(error.message, "No right to create pods/exec in the namespace ci")
  })

  it("that is not valid names the fields", () => {
    const details = { causes: [{ field: "spec.x", message: "Required value" }] }
    assert.include(answer(422, status(422, "Invalid", "long text", details)).message, "spec.x: Required value")
  })

  it("may say how long to wait, by header or body", () => {
    assert.strictEqual(answer(429, "", "3").retryAfter, 3000)
    assert.strictEqual(answer(503, status(503, "x", "y", { retryAfterSeconds: 2 })).retryAfter, 2000)
    assert.strictEqual(answer(503, "", "Wed, 21 Oct 2026 07:28:00 GMT").retryAfter, undefined)
  })

  it("of a proxy is shown as it is, shortened", () => {
    assert.include(answer(502, "<h1>Bad\nGateway</h1>").message, "<h1>Bad Gateway</h1>")
    assert.isBelow(answer(502, "x".repeat(10_000)).message.length, 500)
  })
})

describe("the Role", () => {
  it("has one rule a resource, with every verb of the table", () => {
    const role = parse(KubeCalls.renderRole({ name: "jobscope", namespace: "ci" })) as {
      readonly metadata: object
      readonly rules: ReadonlyArray<{
        readonly apiGroups: ReadonlyArray<string>
        readonly resources: ReadonlyArray<string>
        readonly verbs: ReadonlyArray<string>
      }>
    }
    assert.deepStrictEqual(role.metadata, { name: "jobscope", namespace: "ci" })
    const granted = role.rules.flatMap(({ apiGroups, resources, verbs }) =>
      verbs.map((verb) => `${verb} ${apiGroups[0]}/${resources[0]}`)
    )
    assert.deepStrictEqual(
      granted.toSorted(),
      KubeCalls.calls.map(({ group, resource, verb }) => `${verb} ${group}/${resource}`).toSorted()
    )
    assert.strictEqual(new Set(role.rules.map(({ resources }) => resources[0])).size, role.rules.length)
  })

  it("with the required calls only asks for no more than Actions Runner Controller grants", () => {
    const granted = new Set(
      [
        ["pods", "get list create delete"],
        ["pods/exec", "get create"],
        ["pods/log", "get list watch"],
        ["secrets", "get list create delete"]
      ].flatMap(([resource, verbs = ""]) => verbs.split(" ").map((verb) => `${verb} ${resource}`))
    )
    assert.deepStrictEqual(
      KubeCalls.required.map(({ resource, verb }) => `${verb} ${resource}`).filter((right) => !granted.has(right)),
      []
    )
  })
})
