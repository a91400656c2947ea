/** RGDs whose pods only hold a place for steps. */
import { afterAll, beforeAll } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import { kube } from "../../support/suiteNamespace.ts"
import { cel, makeRgd, removeRgd, uniqueKind, type Wanted } from "./rgds.ts"

/** A pod of the instance's name, with one container that waits. */
export const hostPod = (more: { readonly spec?: object; readonly container?: object } = {}) => ({
  id: "runnerPod",
  readyWhen: [cel("runnerPod.status.phase == 'Running'")],
  template: {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: cel("schema.spec.runnerName"), namespace: cel("schema.metadata.namespace") },
    spec: {
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 5,
      containers: [
        {
          name: "job",
          image: cel("schema.spec.image"),
          imagePullPolicy: "IfNotPresent",
          // It ignores SIGTERM, as most do.
          command: ["sh", "-c", "while :; do sleep 3600; done"],
          ...more.container
        }
      ],
      ...more.spec
    }
  }
})

export const hostSpec = { runnerName: "string | required=true", image: 'string | default="busybox:latest"' }

/** An RGD with such a pod. */
export const host = (more: Wanted = {}): Wanted => ({ spec: hostSpec, resources: [hostPod()], ...more })

/** Registers the hooks that make an RGD for all tests of a file; gives its name. */
export const suiteRgd = (wanted: Wanted): string => {
  const name = uniqueKind().toLowerCase()
  const scope = Scope.makeUnsafe()
  beforeAll(
    () => makeRgd({ ...wanted, name }).pipe(Scope.provide(scope), Effect.provide(kube), Effect.runPromise),
    60_000
  )
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), 60_000)
  return name
}

/** An RGD of the examples, as it is but for pulling images that the node has; waits until it is active. */
export const applied = Effect.fnUntraced(function* (rgd: Rgd.ResourceGraphDefinition) {
  const client = yield* KubeClient.KubeClient
  const body = JSON.parse(JSON.stringify(rgd), (key, value) =>
    key === "containers" || key === "initContainers"
      ? value.map((container: object) => ({ imagePullPolicy: "IfNotPresent", ...container }))
      : value
  )
  const { name } = rgd.metadata
  yield* Effect.acquireRelease(client.request({ verb: "create", resource: Rgd.definitions, body }), () =>
    Effect.orDie(removeRgd(name))
  )
  yield* Effect.repeat(Effect.delay(client.request({ verb: "get", resource: Rgd.definitions, name }), "100 millis"), {
    until: (seen) => Rgd.problemOf(seen) === undefined
  })
})
