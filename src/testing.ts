/**
 * For tests of programs that embed jobscope, and of backends: the scripted memory backend, the contract as a suite, and a Kubernetes cluster
 * in this process.
 *
 * It needs vitest and @effect/vitest; the memory backend alone, without them, is `jobscope/backends/memory/MemoryBackend`.
 */
export * as MemoryBackend from "./backends/memory/MemoryBackend.ts"
export * as MemoryProgram from "./backends/memory/MemoryProgram.ts"
export * as MemoryWorld from "./backends/memory/MemoryWorld.ts"
export * as JobBackendContract from "./testing/JobBackendContract.ts"
export * as FakeFault from "./testing/kubernetes/FakeFault.ts"
export * as FakeImage from "./testing/kubernetes/FakeImage.ts"
export * as FakeKubernetes from "./testing/kubernetes/FakeKubernetes.ts"
export * as FakeRights from "./testing/kubernetes/FakeRights.ts"
export * as FaultProxy from "./testing/kubernetes/FaultProxy.ts"
