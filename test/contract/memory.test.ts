import { Layer } from "effect"
import { MemoryBackend, MemoryProgram, MemoryWorld } from "jobscope/testing"
import { ProvisionFailed } from "../../src/domain/JobError.ts"
import { suite } from "./JobBackendContract.ts"

suite("memory", Layer.provideMerge(MemoryBackend.layer(), MemoryWorld.layer), {
  processes: false,
  secondProcess: MemoryBackend.layer(),
  brokenJob: {
    labels: MemoryProgram.forEnvironment({
      provisionFailure: new ProvisionFailed({ detail: "as the test says", transient: false })
    })
  },
  interruptions: Number.POSITIVE_INFINITY
})
