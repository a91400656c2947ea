import { JobBackendContract } from "jobscope/testing"

/** The suite itself is product, so that other backends can be held to it too: src/testing. */
export const suite = JobBackendContract.suite
