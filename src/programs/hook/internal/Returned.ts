/**
 * Without a claim: what the runner reads from its own disk, though steps write it in the pod, and what it writes there for steps to see.
 */
import type { CopySharing } from "../../../backends/pod/PodOptions.ts"
import type { HookConfig, RunnerPaths } from "./HookConfig.ts"

/** Manifests of local actions, and what `hashFiles` is asked for: lock files and what pins versions. */
const names = `
  action.yml action.yaml
  package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock bun.lockb deno.lock
  go.mod go.sum go.work.sum Cargo.lock rust-toolchain rust-toolchain.toml
  requirements*.txt poetry.lock uv.lock pdm.lock Pipfile.lock pixi.lock pyproject.toml setup.py setup.cfg environment.yml environment.yaml
  pom.xml *.gradle *.gradle.kts gradle.properties gradle-wrapper.properties gradle.lockfile libs.versions.toml build.sbt
  Gemfile.lock composer.lock mix.lock pubspec.lock Podfile.lock Package.resolved stack.yaml.lock cabal.project.freeze flake.lock
  packages.lock.json *.csproj *.fsproj *.vbproj Directory.*.props global.json nuget.config
  .tool-versions .nvmrc .node-version .python-version .ruby-version .terraform.lock.hcl
`

/** Anywhere in the workspace. */
const defaults: ReadonlyArray<string> = names
  .trim()
  .split(/\s+/)
  .map((name) => `**/${name}`)

/** How `_work` is kept in step: below it is all that the runner and the pod share. */
export const sharing = ({ returned }: HookConfig, paths: RunnerPaths): CopySharing => {
  const wanted =
    returned === undefined ? defaults : returned[0] === "+" ? [...defaults, ...returned.slice(1)] : returned
  const inside = relative(paths.workspace, paths.work)
  return {
    _tag: "Copy",
    returned: inside === undefined ? [] : wanted.map((glob) => `${inside}/${glob}`),
    watched: [paths.temp, `${paths.work}/_actions`],
    // The files for outputs, variables and the like have names that the runner makes anew for each step.
    perStep: [`${paths.temp}/_runner_file_commands`],
    // Each call is a process of its own.
    stateDirectory: `${paths.temp}/_jobscope`,
    // The answers to the runner are its own business.
    excluded: [`${paths.temp}/_runner_hook_responses`]
  }
}

const relative = (path: string | undefined, directory: string) =>
  path?.startsWith(`${directory}/`) === true ? path.slice(directory.length + 1) : undefined
