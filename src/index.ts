/**
 * The public API on one page. Each module is importable alone too: `jobscope/domain/JobLifecycle`.
 *
 * Backends are not here, so that none is loaded without need: `jobscope/backends/local/LocalBackend` and its siblings, and
 * `jobscope/testing` for tests.
 */
export * as BackendDriver from "./domain/BackendDriver.ts"
export * as Capabilities from "./domain/Capabilities.ts"
export * as Container from "./domain/Container.ts"
export * as EnvironmentHandle from "./domain/EnvironmentHandle.ts"
export * as EnvVars from "./domain/EnvVars.ts"
export * as Job from "./domain/Job.ts"
export * as JobBackend from "./domain/JobBackend.ts"
export * as JobEnvironment from "./domain/JobEnvironment.ts"
export * as JobError from "./domain/JobError.ts"
export * as JobEvent from "./domain/JobEvent.ts"
export * as JobLifecycle from "./domain/JobLifecycle.ts"
export * as JobResult from "./domain/JobResult.ts"
export * as LineSplitter from "./domain/LineSplitter.ts"
export * as Matrix from "./domain/Matrix.ts"
export * as OwnedResource from "./domain/OwnedResource.ts"
export * as Reaper from "./domain/Reaper.ts"
export * as Step from "./domain/Step.ts"
export * as StepCommand from "./domain/StepCommand.ts"
export * as StepOutputs from "./domain/StepOutputs.ts"
export * as StepProgram from "./domain/StepProgram.ts"
export * as Workflow from "./domain/Workflow.ts"
export * as WorkflowEngine from "./domain/WorkflowEngine.ts"
export * as WorkflowResult from "./domain/WorkflowResult.ts"
