/**
 * For tests of programs that embed jobscope, and of backends: the scripted memory backend, and the contract as a suite.
 *
 * It needs vitest and @effect/vitest; the memory backend alone, without them, is `jobscope/backends/memory/MemoryBackend`.
 */
export * as MemoryBackend from "./backends/memory/MemoryBackend.ts"
export * as MemoryProgram from "./backends/memory/MemoryProgram.ts"
export * as MemoryWorld from "./backends/memory/MemoryWorld.ts"
export * as JobBackendContract from "./testing/JobBackendContract.ts"
