/** The contexts of expressions, and the variables that steps get with them. */
import { data } from "@actions/expressions"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import type { EnvironmentFacts } from "../../../domain/JobEnvironment.ts"
import type { Event, Options } from "../RunOptions.ts"
import type { WorkflowFile } from "../WorkflowFile.ts"
import * as ContextData from "./contextData.ts"
import type { GitFacts } from "./gitFacts.ts"

type Texts = Readonly<Record<string, string>>

/** What is the same for all jobs of a run. */
export interface RunContexts {
  readonly event: Event
  /** The `github` context, but for what belongs to a job or a step. */
  readonly github: Texts
  readonly inputs: data.ExpressionData
  readonly vars: data.ExpressionData
  readonly secrets: data.ExpressionData
}

export const makeRunContexts = (
  file: WorkflowFile,
  options: Options,
  event: Event,
  inputs: { readonly [name: string]: Schema.Json },
  git: GitFacts,
  runId: string
): RunContexts => {
  const secrets = Object.fromEntries(
    Object.entries(options.secrets ?? {}).map(([name, value]) => [name, Redacted.value(value)])
  )
  return {
    event,
    github: githubTexts(file, options, event, git, runId),
    inputs: ContextData.fromJson(inputs),
    vars: ContextData.fromJson(options.vars ?? {}),
    secrets: ContextData.fromJson(secrets)
  }
}

const githubTexts = (file: WorkflowFile, options: Options, event: Event, git: GitFacts, runId: string): Texts => {
  const { syntax } = file
  const given: Texts = options.github ?? {}
  const ref = given.ref ?? git.ref
  const repository = given.repository ?? git.repository
  const token = options.secrets?.GITHUB_TOKEN
  const server = given.server_url ?? git.server
  return {
    token: token === undefined ? "" : Redacted.value(token),
    ref,
    ref_name: ref.replace(/^refs\/(?:heads|tags)\//, "").replace(/^refs\/pull\//, ""),
    ref_type: ref.startsWith("refs/tags/") ? "tag" : "branch",
    ref_protected: "false",
    sha: git.sha,
    repository,
    repository_owner: repository.split("/")[0] ?? "",
    repository_id: "0",
    repository_owner_id: "0",
    run_id: runId,
    run_number: "1",
    run_attempt: "1",
    retention_days: "90",
    actor: "local",
    actor_id: "0",
    triggering_actor: given.actor ?? "local",
    workflow: nameOf(file),
    workflow_ref: `${repository}/${syntax.file}@${ref}`,
    workflow_sha: git.sha,
    head_ref: "",
    base_ref: "",
    event_name: event.name,
    server_url: server,
    api_url: server === "https://github.com" ? "https://api.github.com" : `${server}/api/v3`,
    graphql_url: server === "https://github.com" ? "https://api.github.com/graphql" : `${server}/api/graphql`,
    secret_source: "Actions",
    ...given
  }
}

/** What GitHub calls a workflow: its name, or its file. */
export const nameOf = ({ syntax }: WorkflowFile): string => String(syntax.name?.literal ?? syntax.file)

/** The `github` context with what belongs to a job or a step. */
export const githubContext = (
  contexts: RunContexts,
  more: { readonly [key: string]: Schema.Json }
): data.ExpressionData => ContextData.fromJson({ ...contexts.github, event: contexts.event.payload, ...more })

/** GITHUB_* variables: the properties that the runner passes on. */
const passedOn = (
  "action action_path action_ref action_repository actor actor_id api_url base_ref event_name graphql_url head_ref job ref ref_name " +
  "ref_protected ref_type repository repository_id repository_owner repository_owner_id retention_days run_attempt run_id run_number " +
  "server_url sha triggering_actor workflow workflow_ref workflow_sha workspace"
).split(" ")

export const githubVariables = (texts: Texts): Texts =>
  Object.fromEntries(
    passedOn.flatMap((name) => (texts[name] === undefined ? [] : [[`GITHUB_${name.toUpperCase()}`, texts[name]]]))
  )

// ---- the runner

const systems: Texts = { linux: "Linux", darwin: "macOS", win32: "Windows" }
const architectures: Texts = { x64: "X64", arm64: "ARM64", ia32: "X86", arm: "ARM" }

export const runnerTexts = (facts: EnvironmentFacts, debug: boolean): Texts => {
  const temp = facts.temp ?? "/tmp"
  return {
    os: systems[facts.os] ?? "Linux",
    arch: architectures[facts.arch] ?? facts.arch.toUpperCase(),
    name: "jobscope",
    environment: "self-hosted",
    temp,
    tool_cache: `${temp}/_tool`,
    workspace: facts.workspace.replace(/\/[^/]+\/?$/, "") || "/",
    ...(debug ? { debug: "1" } : {})
  }
}

export const runnerVariables = (texts: Texts): Texts =>
  Object.fromEntries(Object.entries(texts).map(([name, value]) => [`RUNNER_${name.toUpperCase()}`, value]))

// ---- the job

export const jobContext = (
  status: "success" | "failure" | "cancelled",
  facts: EnvironmentFacts,
  container: boolean
): data.ExpressionData =>
  ContextData.fromJson({
    status,
    ...(container ? { container: { id: "", network: "" } } : {}),
    services: Object.fromEntries(
      facts.services.map(({ name, ports }) => [name, { id: name, network: "", ports: { ...ports } }])
    )
  })

/** Variables are told apart by upper and lower case, as the system does. */
export const envContext = (env: Texts): data.ExpressionData =>
  new ContextData.Dictionary(
    Object.entries(env).map(([name, value]) => [name, new data.StringData(value)]),
    true
  )
