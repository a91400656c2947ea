/**
 * Every promise of the backend contract (`JobBackend`, `JobEnvironment`) as a test.
 *
 * **When to use**
 *
 * Run it against a backend of your own, in a vitest file:
 *
 * ```ts
 * import { JobBackendContract } from "jobscope/testing"
 *
 * JobBackendContract.suite("my backend", MyBackend.layer, {})
 * ```
 *
 * **Details**
 *
 * It needs vitest and @effect/vitest. Time is real. Each test has an owner of its own, and fails if anything of it is left.
 */
import { describe } from "@effect/vitest"
import type * as Layer from "effect/Layer"
import type { JobBackend } from "../domain/JobBackend.ts"
import { environments } from "./contract/environments.ts"
import { handOver } from "./contract/handOver.ts"
import { interruption } from "./contract/interruption.ts"
import { output } from "./contract/output.ts"
import { running } from "./contract/running.ts"
import { type ContractCapabilities, promiseOn } from "./contract/setting.ts"

export type { ContractCapabilities, JobFields } from "./contract/setting.ts"

/**
 * Registers the suite with vitest. Each test builds the layer anew.
 *
 * @category testing
 */
export const suite = <R = never, E = never>(
  name: string,
  layer: Layer.Layer<JobBackend | R, E>,
  capabilities: ContractCapabilities<R, E>
): void => {
  const promise = promiseOn(layer, capabilities)
  describe(`JobBackend contract: ${name}`, () => {
    describe("environments", () => environments(promise, capabilities))
    describe("steps", () => running(promise, capabilities))
    describe("output", () => output(promise, capabilities))
    describe("hand-over", () => handOver(promise, capabilities))
    describe("interruption", () => interruption(promise, capabilities))
  })
}
