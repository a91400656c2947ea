/** One suite for the fake and for a real cluster, so that the fake stays honest. */
import { describe, layer as describeWith } from "@effect/vitest"
import type { Effect, Scope } from "effect"
import type { KubeClient } from "jobscope/backends/kubernetes/KubeClient"
import { objects } from "./objects.ts"
import { podLives } from "./podLives.ts"
import { podProcesses } from "./podProcesses.ts"
import type { Cluster, ClusterLayer } from "./support.ts"

export type Register = <E>(
  title: string,
  body: () => Effect.Effect<unknown, E, Cluster | KubeClient | Scope.Scope>
) => void

/** Registers all of it. */
export const behaviour = (layer: ClusterLayer, options: { readonly pods: boolean; readonly prompt: boolean }): void => {
  describeWith(layer, { excludeTestServices: true, timeout: "3 minutes" })((it) => {
    const register: Register = (title, body) => it.effect(title, body)
    describe("objects", () => objects(register))
    describe.skipIf(!options.pods)("pods", () => podLives(register))
    describe.skipIf(!options.pods)("processes in pods", () => podProcesses(register, options.prompt))
  })
}
