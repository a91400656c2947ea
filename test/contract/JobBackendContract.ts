/** The suite itself is product, so that other backends can be held to it too: src/testing. */
export { suite } from "../../src/testing/JobBackendContract.ts"
