import { JobBackendContract } from "jobscope/testing"
import * as CustomBackend from "./custom-backend.ts"

JobBackendContract.suite("examples/custom-backend", CustomBackend.layer, { sessions: false })
